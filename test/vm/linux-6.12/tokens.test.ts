import { LINUX_6_12 } from '../../support/vm-world.js';
import { tokens } from '../suites/tokens.js';

tokens(LINUX_6_12);
