/** Those of this process who wait for a hold, first come first served. */
import type { Limit } from '../locks/limit.js';
import type { Settle } from '../locks/settle.js';
import type { Hold } from './hold.js';
import { levelOf, type HoldKind, type Level } from './levels.js';

/** One who waits. */
export class Waiter {
  next: Waiter | undefined;
  previous: Waiter | undefined;
  limit: Limit | undefined;

  constructor(
    readonly kind: HoldKind,
    /** Inside another hold, which covers it: it waits for nobody, only until this node is sure of its locks. */
    readonly isNested: boolean,
    /** By the lockspace's clock. */
    readonly since: number,
    readonly settle: Settle<Hold>,
  ) {}

  get level(): Level {
    return levelOf(this.kind);
  }
}

/** In the order in which they came; a nested one goes first. */
export class WaitQueue {
  head: Waiter | undefined;
  #tail: Waiter | undefined;
  length = 0;

  add(waiter: Waiter): void {
    this.length += 1;
    if (waiter.isNested) {
      waiter.next = this.head;
      if (this.head === undefined) this.#tail = waiter;
      else this.head.previous = waiter;
      this.head = waiter;
      return;
    }
    waiter.previous = this.#tail;
    if (this.#tail === undefined) this.head = waiter;
    else this.#tail.next = waiter;
    this.#tail = waiter;
  }

  /** Takes out one that is in it. */
  remove(waiter: Waiter): void {
    const { next, previous } = waiter;
    if (previous === undefined) this.head = next;
    else previous.next = next;
    if (next === undefined) this.#tail = previous;
    else next.previous = previous;
    waiter.next = waiter.previous = undefined;
    this.length -= 1;
  }
}
