/**
 * A connection's live locks by the native index. Native code gives the lowest indexes first, so the first ones
 * are in one array, which a look takes the least time in and which stays. What is above is made of chunks
 * that come and go, so that a table which has been large does not stay so, wherever in it the locks are that
 * are left.
 *
 * Invariant: at most one chunk has no lock; it is not made again and again for a lock that comes and goes.
 */
import type { LksbState } from '../stackglue/lksb.js';

/** How many are in the first array. */
const FIRST = 3072;

const CHUNK_BITS = 10;
const CHUNK_SIZE = 2 ** CHUNK_BITS;
const MASK = CHUNK_SIZE - 1;

type Place = LksbState | undefined;

interface Chunk {
  used: number;
  readonly places: Place[];
}

/** The live locks of one connection. */
export class LockTable {
  readonly #first: Place[] = [];
  /** By `index >> CHUNK_BITS`; those of the first array have none. */
  readonly #chunks: (Chunk | undefined)[] = [];
  /** Whether there is a chunk that has no lock. */
  #hasSpare = false;

  /** How many locks there is room for. */
  get capacity(): number {
    const chunks = this.#chunks.filter((chunk) => chunk !== undefined);
    return this.#first.length + chunks.length * CHUNK_SIZE;
  }

  /** The lock at an index, if there is one. */
  get(index: number): LksbState | undefined {
    return index < FIRST ? this.#first[index] : this.#getAbove(index);
  }

  /** Puts a lock at an index where there is none. */
  add(index: number, state: LksbState): void {
    const first = this.#first;
    if (index < first.length) first[index] = state;
    else this.#addBehind(index, state);
  }

  /** Takes away the lock at an index where there is one. */
  remove(index: number): void {
    if (index < FIRST) this.#first[index] = undefined;
    else this.#removeAbove(index);
  }

  // On their own, so that V8 has room for what is on the way of every lock.

  #getAbove(index: number): LksbState | undefined {
    return this.#chunks[index >> CHUNK_BITS]?.places[index & MASK];
  }

  #addBehind(index: number, state: LksbState): void {
    if (index >= FIRST) {
      this.#addAbove(index, state);
      return;
    }
    // One by one, so that V8 knows of no holes to look for.
    while (this.#first.length < index) this.#first.push(undefined);
    this.#first.push(state);
  }

  #addAbove(index: number, state: LksbState): void {
    const number = index >> CHUNK_BITS;
    let chunk = this.#chunks[number];
    if (chunk === undefined) {
      chunk = { used: 0, places: new Array<Place>(CHUNK_SIZE).fill(undefined) };
      this.#chunks[number] = chunk;
    } else if (chunk.used === 0) {
      this.#hasSpare = false;
    }
    chunk.used += 1;
    chunk.places[index & MASK] = state;
  }

  #removeAbove(index: number): void {
    const number = index >> CHUNK_BITS;
    const chunk = this.#chunks[number];
    if (chunk === undefined) return;
    chunk.places[index & MASK] = undefined;
    chunk.used -= 1;
    if (chunk.used > 0) return;
    if (this.#hasSpare) this.#chunks[number] = undefined;
    this.#hasSpare = true;
  }

  /** Calls `visit` for all locks that there are, by index. */
  forEach(visit: (state: LksbState) => void): void {
    for (const state of this.#first) if (state !== undefined) visit(state);
    for (const chunk of this.#chunks) {
      for (const state of chunk?.places ?? []) if (state !== undefined) visit(state);
    }
  }

  /** Takes all of them away. */
  clear(): void {
    this.#first.length = 0;
    this.#chunks.length = 0;
    this.#hasSpare = false;
  }
}
