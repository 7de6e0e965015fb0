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

/** Lines, and words of a line: one of the processor's. */
const LINES = 16_384;
const LINE = 16;
/** Bytes of the longest name that is kept. */
const KEPT_MAX = (LINE - 1) * WORD;
const KEY_MAX = 2 ** 31 - 1;

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
  #kept: Int32Array | undefined;
  #lastKey = 0;

  constructor(batch: Int32Array) {
    this.#batch = batch;
    this.#bytes = new Uint8Array(batch.buffer, NAME * WORD, ROOM);
  }

  /** Leaves the name for a request about this status block. Returns how many bytes it has. */
  write(state: LksbState, name: string | Uint8Array): number {
    if (typeof name !== 'string') return this.#writeBytes(state, name);
    if (state.name !== name) {
      state.name = name;
      state.nameKey = 0;
      return this.#encode(state, name);
    }
    const { nameKey } = state;
    const kept = this.#kept;
    const line = (nameKey % LINES) * LINE;
    if (nameKey === 0 || kept?.[line] !== nameKey) return this.#encodeAndKeep(state, name);
    const { nameSize } = state;
    const batch = this.#batch;
    for (let i = 0; i * WORD < nameSize; i += 1) batch[NAME + i] = kept[line + 1 + i] ?? 0;
    return nameSize;
  }

  #encode(state: LksbState, name: string): number {
    // What is cut for want of room is longer than any name may be.
    state.nameSize = encoder.encodeInto(name, this.#bytes).written;
    return state.nameSize;
  }

  #encodeAndKeep(state: LksbState, name: string): number {
    const size = this.#encode(state, name);
    if (size > KEPT_MAX || this.#lastKey === KEY_MAX) return size;
    this.#kept ??= new Int32Array(LINES * LINE);
    this.#lastKey += 1;
    state.nameKey = this.#lastKey;
    const line = (state.nameKey % LINES) * LINE;
    this.#kept[line] = state.nameKey;
    this.#kept.set(this.#batch.subarray(NAME, NAME + LINE - 1), line + 1);
    return size;
  }

  #writeBytes(state: LksbState, name: Uint8Array): number {
    state.name = undefined;
    const size = Math.min(Number(LENGTH?.get?.call(name)), ROOM);
    for (let i = 0; i < size; i += 1) this.#bytes[i] = name[i] ?? 0;
    return size;
  }
}
