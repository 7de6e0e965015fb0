/**
 * A token's bits, highest first: epoch, sequence, count. README.md says what each is for. As 63 bits they fit a signed
 * integer of a database. They are kept as two halves, because a bigint for each grant would be garbage.
 */
export const EPOCH_BITS = 20;
export const SEQUENCE_BITS = 35;
export const COUNT_BITS = 8;

/** No token is of this epoch: there is none behind it, so none could follow. */
export const EPOCH_END = 2 ** EPOCH_BITS - 1;
/** The largest of each. */
export const EPOCH_MAX = EPOCH_END - 1;
export const SEQUENCE_MAX = 2 ** SEQUENCE_BITS - 1;
const COUNT_MAX = 2 ** COUNT_BITS - 1;

/** Of the sequence's bits, those that are in the low half. */
const LOW_BITS = 32 - COUNT_BITS;
const LOW = 2 ** LOW_BITS;
/** Of the sequence's bits, those that are in the high half. */
const HIGH_BITS = SEQUENCE_BITS - LOW_BITS;

/** The two upper parts of a token: what the sequencer gives, one to each that asks. */
export interface Sequence {
  /** 1 to {@link EPOCH_MAX}; 0: none. */
  readonly epoch: number;
  /** 1 to {@link SEQUENCE_MAX}; 0: none of this epoch has been given yet. */
  readonly sequence: number;
}

/** The upper 31 bits of a token, and the lower 32, without a sign. */
export interface Halves {
  readonly high: number;
  readonly low: number;
}

/** A sequence's first token. */
export function firstOf({ epoch, sequence }: Sequence): Halves {
  return {
    high: epoch * 2 ** HIGH_BITS + Math.floor(sequence / LOW),
    low: (sequence % LOW) * 2 ** COUNT_BITS,
  };
}

/** The sequence that a token is of. */
export function sequenceOf({ high, low }: Halves): Sequence {
  const upper = high % 2 ** HIGH_BITS;
  return { epoch: epochOf(high), sequence: upper * LOW + Math.floor(low / 2 ** COUNT_BITS) };
}

/** The epoch, by a token's high half. */
export function epochOf(high: number): number {
  return high >>> HIGH_BITS;
}

/** Whether no other token of its sequence comes behind it, by its low half. */
export function isLast(low: number): boolean {
  return (low & COUNT_MAX) === COUNT_MAX;
}

/** The token as programs have it. */
export function tokenOf({ high, low }: Halves): bigint {
  return (BigInt(high) << 32n) | BigInt(low);
}

/** The epoch of a program's token. */
export function epochOfToken(token: bigint): number {
  return Number(token >> BigInt(SEQUENCE_BITS + COUNT_BITS));
}

/** The largest token that can be of this sequence, or of one before it. */
export function lastOf(sequence: Sequence): bigint {
  return tokenOf(firstOf(sequence)) | BigInt(COUNT_MAX);
}

/** Reads what {@link writeHalves} has written. */
export function readHalves(bytes: Uint8Array, at: number): Halves {
  return { high: readWord(bytes, at), low: readWord(bytes, at + 4) };
}

/** Eight bytes, the highest first. */
export function writeHalves(bytes: Uint8Array, at: number, { high, low }: Halves): void {
  writeWord(bytes, at, high);
  writeWord(bytes, at + 4, low);
}

function readWord(bytes: Uint8Array, at: number): number {
  let word = 0;
  for (let i = at; i < at + 4; i += 1) word = (word << 8) | (bytes[i] ?? 0);
  return word >>> 0;
}

function writeWord(bytes: Uint8Array, at: number, word: number): void {
  for (let i = 0; i < 4; i += 1) bytes[at + i] = word >>> (24 - 8 * i);
}
