/**
 * Finds out that an emulated node is dead. The emulations tell a node's own programs of its death only by
 * what is under way, which ends with -ENOTCONN; so there always is something: a request that waits for a lock
 * of our own. The kernel's DLM tells by notices, and needs none of this.
 */
import { constants } from 'node:os';

import { DLM_LOCK } from '../constants.js';
import { DlmLksb, type ClusterConnection, type StackGlue } from '../glue.js';

const { ENOTCONN } = constants.errno;

/** 52 bits, which is what a number from `random()` has at most. */
const NAMES = 2 ** 52;

/** The `astarg` of its own requests. */
export class Lookout {
  readonly #held = new DlmLksb();
  readonly #waiting = new DlmLksb();
  readonly #name: string;
  readonly #ask: (lksb: DlmLksb) => number;
  readonly #status: (lksb: DlmLksb) => number;
  readonly #onDeath: () => void;
  #asksAgain = true;

  constructor(glue: StackGlue, connection: ClusterConnection, onDeath: () => void) {
    this.#name = `stackglue ${Math.floor(connection.clock.random() * NAMES).toString(36)}`;
    this.#ask = (lksb) => glue.dlmLock(connection, DLM_LOCK.EX, lksb, 0, this.#name, this);
    this.#status = (lksb) => glue.dlmLockStatus(lksb);
    this.#onDeath = onDeath;
  }

  begin(): void {
    this.#request(this.#held);
  }

  /** One of the two has completed: the first by its grant, or either by the death. */
  lockAst(): void {
    const status = this.#status(this.#held);
    if (status === 0 && this.#asksAgain) {
      this.#asksAgain = false;
      this.#request(this.#waiting);
      return;
    }
    const isDead = this.#asksAgain ? status : this.#status(this.#waiting);
    if (isDead === -ENOTCONN) this.#onDeath();
  }

  #request(lksb: DlmLksb): void {
    if (this.#ask(lksb) !== 0) this.#onDeath();
  }
}
