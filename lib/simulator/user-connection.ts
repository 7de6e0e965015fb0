/** A simulated node's connection with the rules of fs/dlm: what stack `user` has beyond the other. */
import {
  OpenFailure,
  type NativeUserConnection,
  type NativeUserListener,
  type Version,
} from '../native.js';
import { SimulatedConnection } from './connection.js';
import type { World } from './world.js';

/** The interface of the kernel's DLM device that is simulated. */
const KERNEL_VERSION: Version = [6, 0, 2];

/** One connection: to the simulation a process of its node. There is no libdlm. */
export class SimulatedUserConnection extends SimulatedConnection implements NativeUserConnection {
  readonly #world: World;

  constructor(
    world: World,
    node: number,
    name: string,
    batch: Int32Array,
    onEvents: (count: number) => void,
    onState: NativeUserListener,
  ) {
    super(
      world,
      node,
      name,
      { major: 0, minor: 0 },
      {
        batch,
        onEvents,
        onNotice: (notice, about) => onState('notice', notice, about, ''),
        onClosed: () => {
          if (this.joinStatus !== 0) onState('failed', OpenFailure.failed, -this.joinStatus, '');
          onState('closed', 0, 0, '');
        },
      },
    );
    this.#world = world;
    if (this.joinStatus === 0) queueMicrotask(() => onState('open', node, 0, ''));
  }

  deadlockCancel(index: number): number {
    return this.#world.deadlockCancel(this.number, this.lockNumber(index));
  }

  purge(node: number, pid: number, ticket: number): number {
    return this.#world.purge(this.number, node, pid, ticket);
  }

  versions(): [Version, Version] {
    return [[0, 0, 0], KERNEL_VERSION];
  }

  ownerPid(): number {
    return this.#world.ownerPid(this.number);
  }
}
