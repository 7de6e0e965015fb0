/**
 * The value block of one lock: what was read, what the program has made of it, and what a request takes along.
 * VALUES.md has the layout.
 *
 * Invariants:
 * 1. A request that writes the resource's block has all of it written from here, and no other request does.
 * 2. A block that the lock manager has flagged stays so until the program has said what is to be in it.
 */
import { DLM_LKF, DLM_LOCK, type LockMode } from '../constants.js';
import { readHalves, writeHalves, type Halves } from '../tokens/token.js';

/** A `Buffer`, where the compiler knows of Node.js; a `Uint8Array` for it elsewhere. */
export type ValueBytes = typeof globalThis extends {
  Buffer: { alloc(size: number): infer Bytes extends Uint8Array };
}
  ? Bytes
  : Uint8Array;

/** How much a value can be trusted. */
export type ValueState =
  /** It is what was written last, and nobody can write while the lock is held as it is. */
  | 'fresh'
  /** Nobody has written since the block came to be; it is zeros. On `o2cb` a block that was lost looks so, too. */
  | 'unwritten'
  /** Somebody who may have changed what it stands for has died: it can be old, by one write or by many. */
  | 'invalid'
  /** The mode, `NL` or `CR`, lets others write at any time, or the lock is not held any more: it is what was seen last. */
  | 'stale';

/** What is in a block: the program's bytes alone, or behind a header, or behind a header and a token. */
export type BlockKind = 'raw' | 'plain' | 'tokens';

/** The block of a stack, as one kind of lock sees it. */
export interface BlockShape {
  readonly kind: BlockKind;
  /** Bytes. */
  readonly length: number;
  /** Whether the lock manager flags a block whose last writer may be missing; else it zeroes it. */
  readonly isFlagged: boolean;
  /** Whether the program has asked for the value; else there is only the token. */
  readonly hasValue: boolean;
}

const { IVVALBLK, VALBLK } = DLM_LKF;
const { CR, CW, PR, PW } = DLM_LOCK;

/** The header of a block that one of us has written; before that it is zeros. */
const HEADER = 0xa0;
/** Its bits: a value was written; there is a token; the value is of somebody who may not have written the last one. */
const WRITTEN = 1;
const TOKEN = 2;
const INVALID = 4;
const BITS = WRITTEN | TOKEN | INVALID;
/** Where there is no place for a token. */
const PLAIN = HEADER | WRITTEN;

const TOKEN_AT = 1;
const VALUE_AT: Readonly<Record<BlockKind, number>> = { raw: 0, plain: 1, tokens: 9 };

/** What held before a lock is granted for the first time. */
export const NOTHING_HELD = -1;

/** `dlm_lvb_operations` of fs/dlm/lock.c: what a grant does to the block. On o2dlm's three modes it is the same. */
function writes(held: number, wanted: number): boolean {
  return held >= PW && wanted <= held;
}

/** A step down that does not write does not read, either; but `PR` and `CW` are beside each other. */
function reads(held: number, wanted: number): boolean {
  return !writes(held, wanted) && (wanted >= held || (held === PR && wanted === CW));
}

/** One lock's. */
export class LockBlock {
  readonly #shape: BlockShape;
  readonly #valueAt: number;
  /** The program's bytes, once it has looked at them. */
  #value: ValueBytes | undefined;
  /** The whole block as it was last read or written. */
  readonly #seen: Uint8Array;
  /** The lock manager's flag, at that time. */
  #isFlagged = false;
  #isTouched = false;
  /** The lock's own token, once it has one; 0 is none. */
  #tokenHigh = 0;
  #tokenLow = 0;
  /** The own token is newer than what is in the block. */
  #isTokenDue = false;
  /** What the request that is under way writes, if it does. */
  #written: Uint8Array | undefined;

  constructor(shape: BlockShape) {
    this.#shape = shape;
    this.#valueAt = VALUE_AT[shape.kind];
    this.#seen = new Uint8Array(shape.length);
  }

  /** What the program sees, and may do with what it likes: the same bytes until it gives their memory away. */
  get value(): ValueBytes {
    this.#leaveDetached();
    if (this.#value === undefined) {
      this.#value = Buffer.alloc(this.#shape.length - this.#valueAt);
      copy(this.#seen, this.#value, this.#valueAt);
    }
    return this.#value;
  }

  /** Whether the program has asked for the value. */
  get hasValue(): boolean {
    return this.#shape.hasValue;
  }

  /** The token that the lock was given last; undefined: none. */
  get token(): Halves | undefined {
    return this.#tokenHigh === 0 ? undefined : { high: this.#tokenHigh, low: this.#tokenLow };
  }

  /** The last token of the name, for all that this lock can know; undefined: it can know nothing. */
  get lastToken(): Halves | undefined {
    if (this.#isTokenDue) return this.token;
    return this.#isFlagged || !this.#hasHeader(TOKEN)
      ? undefined
      : readHalves(this.#seen, TOKEN_AT);
  }

  /** The lock has a token now, which is written when the block is. */
  setToken(high: number, low: number): void {
    this.#tokenHigh = high;
    this.#tokenLow = low;
    this.#isTokenDue = true;
  }

  /** Whether the header is one, with these bits. */
  #hasHeader(bits: number): boolean {
    const [header = 0] = this.#seen;
    return (header & ~BITS) === HEADER && (header & bits) === bits;
  }

  /** The program says that the value is what it is to be, whether that is another or not. */
  touch(): void {
    this.#isTouched = true;
  }

  /** Whether the program has transferred the memory of {@link value}. */
  get isDetached(): boolean {
    return this.#value?.length === 0;
  }

  /** What the program had put into bytes that it has given away went along with them. */
  #leaveDetached(): void {
    if (!this.isDetached) return;
    this.#value = undefined;
    this.#isTouched = false;
  }

  /** Whether there is something to write. */
  get isChanged(): boolean {
    this.#leaveDetached();
    if (this.#isTouched) return true;
    const value = this.#value;
    return value !== undefined && !isSame(value, this.#seen, this.#valueAt);
  }

  /** What the value is, of a lock in this mode. */
  stateIn(mode: LockMode): ValueState {
    if (mode <= CR) return 'stale';
    if (this.#isFlagged) return 'invalid';
    if (isZero(this.#seen)) return 'unwritten';
    if (this.#shape.kind === 'raw') return 'fresh';
    if (this.#shape.kind === 'plain') return this.#seen[0] === PLAIN ? 'fresh' : 'invalid';
    if (!this.#hasHeader(0) || this.#hasHeader(INVALID)) return 'invalid';
    if (!this.#hasHeader(WRITTEN)) return 'unwritten';
    // Who has written it without a token had the value in another place.
    return this.#hasHeader(TOKEN) ? 'fresh' : 'invalid';
  }

  /** Leaves in `lvb` what a conversion is to take along; returns the request's flags. */
  prepare(lvb: Uint8Array, held: LockMode, wanted: LockMode): number {
    this.#written = undefined;
    if (writes(held, wanted)) return this.#prepareWrite(lvb);
    // What is read into must not look like a block: of a resource that has none, nothing is read.
    if (held <= CR && reads(held, wanted)) lvb.fill(0);
    else copy(this.#seen, lvb, 0);
    return VALBLK;
  }

  /** The same for an unlock. */
  prepareUnlock(lvb: Uint8Array, held: LockMode): number {
    return held >= PW ? this.#prepareWrite(lvb) : 0;
  }

  #prepareWrite(lvb: Uint8Array): number {
    const image = this.#image();
    // To write would make it valid.
    if (image === undefined) return this.#shape.isFlagged ? IVVALBLK : 0;
    this.#written = image;
    copy(image, lvb, 0);
    return VALBLK;
  }

  /** The block that is to be there from now on; undefined: it stays as it is, flag and all. */
  #image(): Uint8Array | undefined {
    const { kind, length, isFlagged } = this.#shape;
    const { isChanged } = this;
    // fs/dlm writes with every release of a lock that was asked for with its block; o2dlm where it is told to.
    if (!isChanged && !this.#isTokenDue) {
      return this.#isFlagged || !isFlagged ? undefined : this.#seen;
    }
    const image = new Uint8Array(length);
    if (isChanged) image.set(this.value, this.#valueAt);
    else copy(this.#seen, image, 0);
    if (kind === 'raw') return image;
    if (kind === 'plain') {
      image[0] = PLAIN;
      return image;
    }
    image[0] = HEADER | this.#valueBits(isChanged);
    // What is flagged may be the token of any time.
    const token = this.#isTokenDue ? this.token : this.lastToken;
    if (token === undefined) return image;
    image[0] |= TOKEN;
    writeHalves(image, TOKEN_AT, token);
    return image;
  }

  /** What the header is to say of the value. To write takes the lock manager's flag away, so it is kept here. */
  #valueBits(isChanged: boolean): number {
    if (isChanged) return WRITTEN;
    const [header = 0] = this.#seen;
    if (this.#isFlagged || this.#hasHeader(INVALID)) return (header & WRITTEN) | INVALID;
    if (isZero(this.#seen)) return 0;
    return this.#hasHeader(TOKEN) ? header & WRITTEN : INVALID;
  }

  /** A request that took the block along, or wanted to have it, was granted. */
  granted(lvb: Uint8Array, held: number, mode: LockMode, isValid: boolean): void {
    if (writes(held, mode)) {
      if (this.#written === undefined) return;
      copy(this.#written, this.#seen, 0);
      this.#isFlagged = this.#isTouched = this.#isTokenDue = false;
    } else if (reads(held, mode)) {
      copy(lvb, this.#seen, 0);
      // The flag can go with the master. From CW on nobody else can have written meanwhile.
      const isDoubted = held >= CW && this.#isFlagged;
      this.#isFlagged = isDoubted || !isValid;
      this.#isTouched = false;
      // From PW to EX nobody else could have had one.
      if (held < PW) this.#isTokenDue = false;
      if (this.#value !== undefined) copy(this.#seen, this.#value, this.#valueAt);
    }
  }
}

// Loops, because calls of the library take longer for so few bytes.

/** All of `to`, from `from` at this place on. */
function copy(from: Uint8Array, to: Uint8Array, at: number): void {
  for (let i = 0; i < to.length; i += 1) to[i] = from[at + i] ?? 0;
}

function isSame(bytes: Uint8Array, inside: Uint8Array, at: number): boolean {
  for (let i = 0; i < bytes.length; i += 1) if (bytes[i] !== inside[at + i]) return false;
  return true;
}

function isZero(bytes: Uint8Array): boolean {
  for (const byte of bytes) if (byte !== 0) return false;
  return true;
}
