/**
 * A connection's live locks by the native index. It is made of chunks that come and go, so that a table which
 * has been large does not stay so, wherever in it the locks are that are left.
 *
 * Invariant: at most SPARES chunks have no lock, so that they are not made again and again for crowds that come
 * and go.
 */
import type { LksbState } from '../stackglue/lksb.js';

const CHUNK_BITS = 10;
const CHUNK_SIZE = 2 ** CHUNK_BITS;
const MASK = CHUNK_SIZE - 1;

const SPARES = 4;

interface Chunk {
  used: number;
  readonly places: (LksbState | undefined)[];
}

/** The live locks of one connection. */
export class LockTable {
  readonly #chunks: (Chunk | undefined)[] = [];
  /** How many chunks have no lock. */
  #spares = 0;

  /** How many locks there is room for. */
  get capacity(): number {
    return this.#chunks.filter((chunk) => chunk !== undefined).length * CHUNK_SIZE;
  }

  /** The lock at an index, if there is one. */
  get(index: number): LksbState | undefined {
    return this.#chunks[index >> CHUNK_BITS]?.places[index & MASK];
  }

  /** Puts a lock at an index where there is none. */
  add(index: number, state: LksbState): void {
    const number = index >> CHUNK_BITS;
    let chunk = this.#chunks[number];
    if (chunk === undefined) {
      chunk = { used: 0, places: new Array<LksbState | undefined>(CHUNK_SIZE).fill(undefined) };
      this.#chunks[number] = chunk;
    } else if (chunk.used === 0) {
      this.#spares -= 1;
    }
    chunk.used += 1;
    chunk.places[index & MASK] = state;
  }

  /** Takes away the lock at an index where there is one. */
  remove(index: number): void {
    const number = index >> CHUNK_BITS;
    const chunk = this.#chunks[number];
    if (chunk === undefined) return;
    chunk.places[index & MASK] = undefined;
    chunk.used -= 1;
    if (chunk.used > 0) return;
    if (this.#spares < SPARES) this.#spares += 1;
    else this.#chunks[number] = undefined;
  }

  /** All locks that there are, by index. */
  *[Symbol.iterator](): Generator<LksbState> {
    for (const chunk of this.#chunks) {
      for (const state of chunk?.places ?? []) if (state !== undefined) yield state;
    }
  }

  /** Takes all of them away. */
  clear(): void {
    this.#chunks.length = 0;
    this.#spares = 0;
  }
}
