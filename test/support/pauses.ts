/**
 * How long an event loop does not turn, told apart from how long its machine stands still.
 *
 * An emulated processor on a busy host stands still for hundreds of milliseconds now and then, and so do
 * all event loops on it, at the same time. So each program records when its loop paused, by the clock
 * that all programs of a machine share, and what is compared is a loop's pauses without the time in
 * which its neighbour's loop, on the same machine, did not turn either.
 */

/** From when to when, in milliseconds, by the machine's monotonic clock. */
export type Pause = readonly [start: number, end: number];

/** Records the pauses of this process's event loop. */
export class PauseRecorder {
  static readonly #TICK_MS = 5;
  /** A tick that comes so late is a pause. */
  static readonly #LATE_MS = 5;
  #pauses: Pause[] = [];
  #last = PauseRecorder.now();

  /** The machine's monotonic clock: `performance.now()` counts from the start of the process. */
  static now(): number {
    return Number(process.hrtime.bigint()) / 1e6;
  }

  /** Records from now on, for as long as the process lives. */
  start(): void {
    this.#last = PauseRecorder.now();
    setInterval(() => {
      this.#tick();
    }, PauseRecorder.#TICK_MS);
  }

  /** Forgets what was before. */
  reset(): void {
    this.#pauses = [];
    this.#last = PauseRecorder.now();
  }

  /** The pauses since the last reset, the present one included. */
  take(): readonly Pause[] {
    this.#tick();
    return this.#pauses;
  }

  #tick(): void {
    const now = PauseRecorder.now();
    const due = this.#last + PauseRecorder.#TICK_MS;
    if (now - due > PauseRecorder.#LATE_MS) this.#pauses.push([due, now]);
    this.#last = now;
  }
}

/** The longest of the pauses. */
export function longestPause(pauses: readonly Pause[]): number {
  return Math.max(0, ...pauses.map(([start, end]) => end - start));
}

/** How much of a pause is in none of the others, which do not overlap. */
function alone([start, end]: Pause, others: readonly Pause[]): number {
  const shared = others.reduce(
    (sum, other) => sum + Math.max(0, Math.min(end, other[1]) - Math.max(start, other[0])),
    0,
  );
  return end - start - shared;
}

/** The longest time within one pause in which the neighbour's loop turned. */
export function longestPauseAlone(own: readonly Pause[], neighbours: readonly Pause[]): number {
  return Math.max(0, ...own.map((pause) => alone(pause, neighbours)));
}

/** The pauses that begin in each of so many equal parts of a time. */
export function splitPauses(
  pauses: readonly Pause[],
  [start, end]: Pause,
  parts: number,
): readonly Pause[][] {
  const split = Array.from({ length: parts }, (): Pause[] => []);
  for (const pause of pauses) {
    const part = Math.floor(((pause[0] - start) / (end - start)) * parts);
    split[Math.min(parts - 1, Math.max(0, part))]?.push(pause);
  }
  return split;
}

/** The middle one of an odd number of values. */
export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[(values.length - 1) >> 1] ?? 0;
}
