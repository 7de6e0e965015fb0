/**
 * Values by small numbers that are used again: a connection's locks by the indexes that programs have of them.
 * It comes and goes in chunks, so it does not stay as large as a crowd of locks once made it.
 *
 * Invariants: a number is one value's from `take` to `release`; a chunk without any goes, unless it is the only
 * one with room.
 */

const CHUNK = 1024;

interface Chunk<T> {
  readonly values: (T | undefined)[];
  /** Those within it that are free. */
  readonly free: number[];
}

export class Places<T> {
  readonly #chunks: (Chunk<T> | undefined)[] = [];
  /** Numbers of chunks that have room. */
  readonly #roomy = new Set<number>();
  /** Numbers without a chunk. */
  readonly #vacant: number[] = [];

  /** For how many values there is memory. */
  get capacity(): number {
    return (this.#chunks.length - this.#vacant.length) * CHUNK;
  }

  /** Puts a value in a free place; returns its number. */
  take(value: T): number {
    const [number, { values, free }] = this.#withRoom();
    const at = free.pop() ?? 0;
    values[at] = value;
    if (free.length === 0) this.#roomy.delete(number);
    return number * CHUNK + at;
  }

  /** The value of a number; undefined: it has none. */
  get(index: number): T | undefined {
    return this.#chunks[Math.floor(index / CHUNK)]?.values[index % CHUNK];
  }

  /** It has no value from now on, and is not used again before `release`. */
  clear(index: number): void {
    const chunk = this.#chunks[Math.floor(index / CHUNK)];
    if (chunk !== undefined) chunk.values[index % CHUNK] = undefined;
  }

  /** It may be used again. It is one that `take` has returned, and is released once. */
  release(index: number): void {
    const number = Math.floor(index / CHUNK);
    const chunk = this.#chunks[number];
    if (chunk === undefined) return;
    chunk.values[index % CHUNK] = undefined;
    chunk.free.push(index % CHUNK);
    this.#roomy.add(number);
    if (chunk.free.length < CHUNK || this.#roomy.size === 1) return;
    this.#roomy.delete(number);
    this.#chunks[number] = undefined;
    this.#vacant.push(number);
  }

  /** A chunk with room, and its number. */
  #withRoom(): [number: number, chunk: Chunk<T>] {
    for (const number of this.#roomy) {
      const chunk = this.#chunks[number];
      if (chunk !== undefined) return [number, chunk];
    }
    const number = this.#vacant.pop() ?? this.#chunks.length;
    const chunk = {
      values: new Array<T | undefined>(CHUNK).fill(undefined),
      // The lowest is used first.
      free: Array.from({ length: CHUNK }, (_, at) => CHUNK - 1 - at),
    };
    this.#chunks[number] = chunk;
    this.#roomy.add(number);
    return [number, chunk];
  }
}
