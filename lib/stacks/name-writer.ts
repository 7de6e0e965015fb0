/**
 * The way of a new lock's name to native code: as UTF-8 bytes behind the batch. A status block that is locked
 * by the same name again and again, as most are, does not have it encoded each time, which takes as long as
 * a quarter of a lock: the bytes of such names are kept, those that were used last, all in one piece of
 * memory, so that they cost one look into it.
 *
 * Invariant: a line of `#kept` begins with the key of the status block and name that it is of; keys are never
 * used twice, so who finds his key finds his name.
 */
import { BATCH_NAME, NAME_ROOM } from '../native.js';
import type { LksbState } from '../stackglue/lksb.js';

// Of this module: see NativeLocks.
const NAME = BATCH_NAME;
const ROOM = NAME_ROOM;
const WORD = Int32Array.BYTES_PER_ELEMENT;

/** Lines, and words of a line: one of the processor's. Both powers of two. */
const LINES = 16_384;
const LINE_BITS = 4;
const LINE = 2 ** LINE_BITS;
const LINE_MASK = LINES - 1;
/** Bytes of the longest name that is kept. */
const KEPT_MAX = (LINE - 1) * WORD;
const KEY_MAX = 2 ** 31 - 1;
/** What a status block has for a key while no name of it is kept; and in its line until one is, what it is not. */
const NO_KEY = 0;
const OTHER_KEY = -1;

const encoder = new TextEncoder();

/** The length of typed arrays, whatever a class of the caller's says. */
const LENGTH = Object.getOwnPropertyDescriptor(
  Object.getPrototypeOf(Uint8Array.prototype),
  'length',
);

export class NameWriter {
  readonly #batch: Int32Array;
  readonly #bytes: Uint8Array;
  /** Made when a name comes again for the first time. */
  #kept = Int32Array.of(OTHER_KEY);
  #lastKey = 0;

  constructor(batch: Int32Array) {
    this.#batch = batch;
    this.#bytes = new Uint8Array(batch.buffer, NAME * WORD, ROOM);
  }

  /** Leaves the name for a request about this status block. Returns how many bytes it has. */
  write(state: LksbState, name: string | Uint8Array): number {
    if (state.name !== name) return this.#writeOther(state, name);
    const { nameKey } = state;
    const kept = this.#kept;
    const line = (nameKey & LINE_MASK) << LINE_BITS;
    if (kept[line] !== nameKey) return this.#encodeAndKeep(state, name);
    const { nameSize } = state;
    copyName(kept, line + 1, this.#batch, nameSize);
    return nameSize;
  }

  #writeOther(state: LksbState, name: string | Uint8Array): number {
    if (typeof name !== 'string') return this.#writeBytes(state, name);
    state.name = name;
    state.nameKey = NO_KEY;
    return this.#encode(state, name);
  }

  #encode(state: LksbState, name: string): number {
    // What is cut for want of room is longer than any name may be.
    state.nameSize = encoder.encodeInto(name, this.#bytes).written;
    return state.nameSize;
  }

  #encodeAndKeep(state: LksbState, name: string): number {
    const size = this.#encode(state, name);
    if (size > KEPT_MAX || this.#lastKey === KEY_MAX) return size;
    if (this.#lastKey === 0) this.#makeRoom();
    this.#lastKey += 1;
    state.nameKey = this.#lastKey;
    const line = (state.nameKey & LINE_MASK) << LINE_BITS;
    this.#kept[line] = state.nameKey;
    this.#kept.set(this.#batch.subarray(NAME, NAME + LINE - 1), line + 1);
    return size;
  }

  #makeRoom(): void {
    this.#kept = new Int32Array(LINES * LINE);
    this.#kept[NO_KEY] = OTHER_KEY;
  }

  #writeBytes(state: LksbState, name: Uint8Array): number {
    state.name = undefined;
    const size = Math.min(Number(LENGTH?.get?.call(name)), ROOM);
    for (let i = 0; i < size; i += 1) this.#bytes[i] = name[i] ?? 0;
    return size;
  }
}

/** Copies a name of `size` bytes from the words at `from`. On its own, so that V8 has room for it. */
function copyName(kept: Int32Array, from: number, batch: Int32Array, size: number): void {
  for (let i = 0; i * WORD < size; i += 1) batch[NAME + i] = kept[from + i] ?? 0;
}
