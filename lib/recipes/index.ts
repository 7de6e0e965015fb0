/** `stackglue/recipes`: what programs do with locks, ready to use. README.md beside this file has an example of each. */
export { elect, type ElectOptions, type Term } from './elect.js';
