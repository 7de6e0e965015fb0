/** One request: from `request()` until its promise has settled. */
import { unwatch, watch, type Watcher } from '../abort-signal.js';
import type { RequestArguments } from './arguments.js';
import type { WebLock, WebLockMode } from './types.js';

export class WebRequest implements Watcher {
  readonly promise: Promise<unknown>;
  readonly name: string;
  readonly mode: WebLockMode;
  readonly signal: AbortSignal | undefined;
  readonly #callback: RequestArguments['callback'];
  #resolve!: (value: unknown) => void;
  #reject!: (reason: unknown) => void;
  #onAborted: (() => void) | undefined;

  constructor({ name, mode, signal, callback }: RequestArguments) {
    this.name = name;
    this.mode = mode;
    this.signal = signal;
    this.#callback = callback;
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  /** Has the signal end the wait: then the promise is rejected, and `onAborted` called. */
  waits(onAborted: () => void): void {
    if (this.signal === undefined) return;
    this.#onAborted = onAborted;
    watch(this.signal, this);
  }

  /** The signal has nothing to say any more. */
  waitsNoMore(): void {
    if (this.signal !== undefined) unwatch(this.signal, this);
  }

  /** For the signal. */
  aborted(signal: AbortSignal): void {
    this.waitsNoMore();
    this.#reject(signal.reason);
    this.#onAborted?.();
  }

  /** Calls the callback. Resolves, when what that returned has settled, to what settles the promise like it. */
  async call(lock: WebLock | null): Promise<() => void> {
    try {
      const result = await this.#callback(lock);
      return () => this.#resolve(result);
    } catch (error) {
      return () => this.#reject(error);
    }
  }

  reject(reason: unknown): void {
    this.waitsNoMore();
    this.#reject(reason);
  }
}
