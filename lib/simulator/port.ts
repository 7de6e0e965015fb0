/** How a port looks in public declarations, which must not need the types of Node.js. */

/** One end of a `MessageChannel` of `node:worker_threads`: an instance of its `MessagePort`. */
export interface SimulationPort {
  postMessage(message: unknown): void;
}
