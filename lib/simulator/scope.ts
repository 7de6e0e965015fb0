/**
 * What belongs to the programs of one host, a node's own or those of one process: their timers and
 * connections, by which what happens finds them, and which end with the process.
 */
import type { NativeSimulation as Native } from '../native.js';
import type { DrivenHost } from './hosts.js';
import type { World } from './world.js';

/** Whose each timer and each connection is. */
export class Scopes {
  readonly timers = new Map<number, Scope>();
  readonly connections = new Map<number, Scope>();
}

/** One host's. */
export class Scope {
  /** The node's number. */
  readonly node: number;
  /** Set once it is made. */
  host: DrivenHost | undefined;
  readonly #scopes: Scopes;
  readonly #timers = new Set<number>();
  readonly #connections = new Set<number>();

  constructor(scopes: Scopes, node: number) {
    this.#scopes = scopes;
    this.node = node;
  }

  addTimer(timer: number): void {
    this.#timers.add(timer);
    this.#scopes.timers.set(timer, this);
  }

  takeTimer(timer: number): void {
    this.#timers.delete(timer);
    this.#scopes.timers.delete(timer);
  }

  addConnection(connection: number): void {
    this.#connections.add(connection);
    this.#scopes.connections.set(connection, this);
  }

  takeConnection(connection: number): void {
    this.#connections.delete(connection);
    this.#scopes.connections.delete(connection);
  }

  /** The node is down: its timers and connections are known to nobody any more. */
  forget(): void {
    for (const timer of [...this.#timers]) this.takeTimer(timer);
    for (const connection of [...this.#connections]) this.takeConnection(connection);
  }

  /** The process has ended: its timers stop, and the kernel closes what it had open. */
  end(world: World): void {
    for (const timer of [...this.#timers]) world.stopTimer(timer);
    for (const connection of [...this.#connections]) world.leave(connection);
  }
}

/** The native object as the programs of a host have it: what they make is noted in its scope. */
export function scopedWorld(
  native: Native,
  profile: World['profile'],
  scope: Scope,
  fail: (error: unknown) => void,
): World {
  return {
    lock: (...args) => native.lock(...args),
    convert: (...args) => native.convert(...args),
    unlock: (...args) => native.unlock(...args),
    deadlockCancel: (...args) => native.deadlockCancel(...args),
    purge: (...args) => native.purge(...args),
    ownerPid: (...args) => native.ownerPid(...args),
    members: (...args) => native.members(...args),
    membership: (...args) => native.membership(...args),
    choose: (bound) => native.choose(bound),
    note: (...args) => native.note(...args),
    get nowUs() {
      return native.nowUs;
    },
    profile,
    startTimer(node, delayUs) {
      const timer = native.startTimer(node, delayUs);
      if (timer > 0) scope.addTimer(timer);
      return timer;
    },
    stopTimer(timer) {
      scope.takeTimer(timer);
      native.stopTimer(timer);
    },
    join(node, group, major, minor) {
      const joined = native.join(node, group, major, minor);
      if (joined[0] === 0) scope.addConnection(joined[1]);
      return joined;
    },
    leave(connection) {
      scope.takeConnection(connection);
      native.leave(connection);
    },
    fail,
  };
}
