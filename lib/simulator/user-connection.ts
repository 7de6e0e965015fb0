/** A simulated node's connection with the rules of fs/dlm: what stack `user` has beyond the other. */
import { constants } from 'node:os';

import type { NativeUserConnection, NativeUserListener, Version } from '../native.js';
import { SimulatedConnection } from './connection.js';
import type { World } from './world.js';

const { errno } = constants;

/** `OpenFailure` of native/libdlm/open_failure.h: for another reason than those that it names. */
const OPEN_FAILURE_OTHER = 9;

/** The interface of the kernel's DLM device that is simulated. */
const KERNEL_VERSION: Version = [6, 0, 2];

/** One connection. There is no libdlm, no process and no orphan to purge. */
export class SimulatedUserConnection extends SimulatedConnection implements NativeUserConnection {
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
        onClosed: () => {
          if (this.joinStatus !== 0) onState('failed', OPEN_FAILURE_OTHER, -this.joinStatus, '');
          onState('closed', 0, 0, '');
        },
      },
    );
    if (this.joinStatus === 0) queueMicrotask(() => onState('open', node, 0, ''));
  }

  /** Not simulated. */
  deadlockCancel(): number {
    return -errno.EOPNOTSUPP;
  }

  /** Not simulated. */
  purge(): number {
    return -errno.EOPNOTSUPP;
  }

  /** Not simulated: empty. */
  members(): [number, string, string[]][] {
    return [];
  }

  versions(): [Version, Version] {
    return [[0, 0, 0], KERNEL_VERSION];
  }

  ownerPid(): number {
    return this.number;
  }
}
