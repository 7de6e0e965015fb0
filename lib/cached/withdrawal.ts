/**
 * How the cache gives up what it has asked for: a signal with one listener. An AbortController takes more of the processor
 * and of memory than all else that a request takes.
 */
export class Withdrawal {
  aborted = false;
  #listener: (() => void) | undefined;

  /** For whoever waits for the request. */
  get signal(): AbortSignal {
    return this as unknown as AbortSignal;
  }

  abort(): void {
    if (this.aborted) return;
    this.aborted = true;
    this.#listener?.();
  }

  /** As a signal's. `watch` of lib/abort-signal.ts makes one listener of all. */
  addEventListener(_: 'abort', listener: () => void): void {
    this.#listener = listener;
  }

  removeEventListener(): void {
    this.#listener = undefined;
  }
}
