/**
 * What ends a wait early: the caller's signal, a time, or both. A limit is reached once or lifted once, and
 * after either nothing of it is left: no listener and no timer.
 */
import { isSignal, reasonOf, unwatch, watch, type Watcher } from '../abort-signal.js';
import { checkOptions, invalidType, outOfRange } from '../errors.js';
import type { StackClock } from '../glue.js';

/** How long a call may wait. */
export interface WaitOptions {
  /** Ends the wait; the call rejects with the signal's `reason`, at once. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Milliseconds, 0 to 2^31 - 1, by the stack's clock; then the call rejects with `ERR_DLM_TIMEOUT`.
   * Absent: it waits for as long as it takes.
   */
  readonly timeoutMs?: number | undefined;
}

const WAIT_OPTIONS: Readonly<Record<keyof WaitOptions, true>> = { signal: true, timeoutMs: true };

/** The longest that a timer can run, in milliseconds. */
export const TIMEOUT_MAX_MS = 2 ** 31 - 1;

/** Throws unless these are a signal and a time. */
export function checkWait(argument: string, { signal, timeoutMs }: WaitOptions): void {
  if (signal !== undefined && !isSignal(signal)) {
    throw invalidType(`${argument}.signal`, 'an instance of AbortSignal', signal);
  }
  if (timeoutMs === undefined) return;
  if (typeof timeoutMs !== 'number') {
    throw invalidType(`${argument}.timeoutMs`, 'of type number', timeoutMs);
  }
  if (!(timeoutMs >= 0 && timeoutMs <= TIMEOUT_MAX_MS)) {
    throw outOfRange(`${argument}.timeoutMs`, `from 0 to ${TIMEOUT_MAX_MS}`, timeoutMs);
  }
}

/** The same for options that are nothing else. */
export function checkWaitOptions(options: WaitOptions): void {
  checkOptions<WaitOptions>('options', options, WAIT_OPTIONS);
  checkWait('options', options);
}

/** Who is told that a limit is reached. `why` makes what the caller gets. */
export type OnReached = (why: () => unknown) => void;

/** One wait's limit. */
export class Limit implements Watcher {
  readonly #clock: StackClock;
  readonly #signal: AbortSignal | undefined;
  readonly #timer: unknown;
  readonly #onReached: OnReached;
  #isOver = false;

  /** The signal must not have been aborted yet. `timedOut` makes the error of a timeout. */
  constructor(
    clock: StackClock,
    { signal, timeoutMs }: WaitOptions,
    timedOut: (timeoutMs: number) => Error,
    onReached: OnReached,
  ) {
    this.#clock = clock;
    this.#signal = signal;
    this.#onReached = onReached;
    if (signal !== undefined) watch(signal, this);
    if (timeoutMs === undefined) return;
    this.#timer = clock.setTimeout(() => this.#reach(() => timedOut(timeoutMs)), timeoutMs);
  }

  /** For the signal. */
  aborted(signal: AbortSignal): void {
    const reason = reasonOf(signal);
    this.#reach(() => reason);
  }

  /** The wait is over. */
  lift(): void {
    this.#isOver = true;
    if (this.#signal !== undefined) unwatch(this.#signal, this);
    if (this.#timer !== undefined) this.#clock.clearTimeout(this.#timer);
  }

  #reach(why: () => unknown): void {
    if (this.#isOver) return;
    this.lift();
    this.#onReached(why);
  }
}
