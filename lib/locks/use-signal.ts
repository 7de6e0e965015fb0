/** The signal of one `using`: that the lock is lost, and the caller's own, as one. */
import type { Lock } from './lock.js';

export class UseSignal {
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
      if (source.aborted) controller.abort(source.reason);
      else source.addEventListener('abort', this);
    }
  }

  /** One of the two. */
  handleEvent(event: Event): void {
    this.#controller?.abort((event.target as AbortSignal).reason);
  }

  /** The work is done; the caller's signal may live on, without us. */
  end(): void {
    for (const source of this.#sources) source.removeEventListener('abort', this);
  }
}

const sourceOf = (work: (...args: never[]) => unknown): string =>
  Function.prototype.toString.call(work);

/**
 * Whether a function may look at a second argument. To make a signal takes ten times as long as to take a lock,
 * so it is not made for an arrow function whose parameters are there to be seen and are fewer than two.
 */
export function takesSignal(work: (...args: never[]) => unknown): boolean {
  if (work.length > 1) return true;
  const source = sourceOf(work);
  const arrow = source.indexOf('=>');
  if (arrow < 0) return true;
  const parameters = source.slice(0, arrow);
  // The rest of the arguments, and one with a default, are not counted.
  return parameters.includes('...') || parameters.includes('=');
}
