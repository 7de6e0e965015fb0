/** The signal of one `using`: that the lock is lost, and the caller's own, as one. */
import type { Lock } from './lock.js';
import { reasonOf, unwatch, watch, type Watcher } from '../abort-signal.js';

export class UseSignal implements Watcher {
  readonly signal: AbortSignal;
  readonly #sources: readonly AbortSignal[];
  readonly #controller: AbortController | undefined;

  constructor(lock: Lock, own: AbortSignal | undefined) {
    if (own === undefined) {
      this.signal = lock.lost;
      this.#sources = [];
      return;
    }
    const controller = new AbortController();
    this.#controller = controller;
    this.signal = controller.signal;
    this.#sources = [lock.lost, own];
    for (const source of this.#sources) {
      if (source.aborted) controller.abort(reasonOf(source));
      else watch(source, this);
    }
  }

  /** For one of the two. */
  aborted(source: AbortSignal): void {
    this.#controller?.abort(reasonOf(source));
  }

  /** The work is done; the caller's signal may live on, without us. */
  end(): void {
    for (const source of this.#sources) unwatch(source, this);
  }
}

/** An arrow function with parameters that hide nothing: no rest, no defaults, no comments. */
const PLAIN_ARROW = /^(?:async\s*)?(?:\([\w$\s,]*\)|[\w$]+)\s*=>/;

/**
 * Whether a function may look at a second argument. To make a signal takes ten times as long as to take a lock,
 * so it is not made for an arrow function whose parameters are there to be seen and are fewer than two. Any other
 * function has its `arguments`.
 */
export function takesSignal(work: (...args: never[]) => unknown): boolean {
  if (work.length > 1) return true;
  const source = Function.prototype.toString.call(work);
  // As most begin, one way or the other.
  if (source.startsWith('() =>') || source.startsWith('async () =>')) return false;
  return !PLAIN_ARROW.test(source);
}
