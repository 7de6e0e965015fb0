/**
 * `stackglue/simulator`: a cluster in one process and in virtual time, for tests of programs that lock.
 * A seed decides all that chance decides; README.md beside this file has the rest.
 */
export { attachSimulation } from './attach.js';
export type { ChaosOptions } from './chaos.js';
export { SimulationError } from './errors.js';
export { explore, replay, type ExploreOptions } from './explore.js';
export { History, type Profile } from './history.js';
export {
  SimulatedNode,
  type NodeOptions,
  type NodeProgram,
  type NodeState,
  type ProgramMethods,
} from './node.js';
export { SimulatedProcess } from './process.js';
export type { NodeContext } from './node-life.js';
export type { SimulationPort } from './port.js';
export type { PartitionOptions, RunOptions, SimulationOptions } from './options.js';
export { Simulation } from './simulation.js';
export { useNativeBinding } from '../native.js';
