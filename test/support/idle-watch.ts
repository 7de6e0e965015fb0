/**
 * Tells without a clock that waiting is in vain, for emulated nodes in this thread: what is on its way to
 * a handler arrives in the event loop's next turn, so when whole turns bring nothing, nothing will come.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';

import type { NodeDriver, Watch } from '../../lib/conformance/index.js';

/** From one to the next the loop has been through each of its phases, in whichever of them this begins. */
const TURNS = 2;

/** See the top of this file. */
export class IdleWatch {
  readonly #waiting = new Set<() => void>();
  #nodes: readonly NodeDriver[] = [];
  #isWatching = false;

  /** For the drivers' options. */
  readonly watch: Watch = (giveUp) => {
    this.#waiting.add(giveUp);
    if (!this.#isWatching) void this.#watchOver();
    return () => this.#waiting.delete(giveUp);
  };

  /** The drivers that this watches over; before the first of them waits. */
  set nodes(nodes: readonly NodeDriver[]) {
    this.#nodes = nodes;
  }

  async #watchOver(): Promise<void> {
    this.#isWatching = true;
    while (this.#waiting.size > 0) {
      const before = this.#story();
      for (let turn = 0; turn < TURNS; turn += 1) await nextTurn();
      if (this.#story() !== before) continue;
      for (const giveUp of [...this.#waiting]) {
        this.#waiting.delete(giveUp);
        giveUp();
      }
    }
    this.#isWatching = false;
  }

  /** Changes with every command, reply and event. */
  #story(): string {
    return this.#nodes.map(({ story }) => story).join('');
  }
}
