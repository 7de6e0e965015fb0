/**
 * The lock status block: `ocfs2_dlm_lksb`, one type for every stack. The caller never looks inside;
 * `lockStatus`, `lockFlags`, `lvb` and `lvbValid` do.
 *
 * Its bytes lie in shared memory that native code writes between two callbacks. Blocks are cut off a
 * slab one after the other and never handed out twice: a slab goes when the last lksb and value block
 * that were cut from it go, so no view of a value block ever shows another lock's.
 */
import { checkOptions, invalidType, outOfRange } from '../errors.js';
import { BLOCKS_PER_SLAB, registerSlab, releaseSlab, STATUS_BLOCK } from '../native.js';
import type { StackConnection } from './connection.js';

/** What the glue and the stacks keep in a lock status block. */
export interface LksbState {
  /** Whose inside this is. */
  readonly lksb: DlmLksb;
  /** `lksb_conn`: the connection of its first lock. */
  connection: StackConnection | undefined;
  /** The slab, by bytes and by 32-bit words; this block starts `offset` bytes into it. */
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
  readonly offset: number;
  /** How native code knows this block. */
  readonly block: number;
  /** The transaction that its locks are of, or undefined. */
  readonly transactionId: bigint | undefined;
  /** The name that native code knows this block by, if it does. */
  name: string | undefined;
  /** The stack's index of its lock, or -1. */
  index: number;
  /** How many locks and conversions the stack has accepted, and not told the end of. */
  requestsDue: number;
  /** Whether that goes for an unlock. */
  isUnlocking: boolean;
  /** What the lock and blocking ASTs are given. */
  astarg: unknown;
  /** For a lock of the stack's own: who is told of its completions instead of the caller. */
  onCompletion: (() => void) | undefined;
  /** For stacks: what the unlock AST that is due will be given, or the first of several. */
  unlockAstarg: unknown;
  /** The same for a cancel's, for a stack that tells them apart. */
  cancelAstarg: unknown;
  /** For a stack of which several can be due: how many are, and what all but the first will be given. */
  unlocksDue: number;
  laterAstargs: unknown[] | undefined;
  /** The value block, once somebody has looked at it. */
  lvb: Uint8Array | undefined;
}

// Of this module, for what is asked about every lock: see NativeLocks.
const { status: STATUS } = STATUS_BLOCK;

let slabBytes: Uint8Array = new Uint8Array(0);
let slabWords: Int32Array = new Int32Array(0);
let slabOffset = 0;
let slabNumber = 0;

/** Slabs by number, for stacks whose native side is in TypeScript. */
const slabs = new Map<number, WeakRef<Uint8Array>>();

/** Nothing can use a slab's memory any more when its view is collected. */
const unused = new FinalizationRegistry<number>((slab) => {
  slabs.delete(slab);
  releaseSlab(slab);
});

function newState(lksb: DlmLksb, transactionId: bigint | undefined): LksbState {
  if (slabOffset === slabBytes.length) {
    // Shared memory cannot be detached: native code writes to it as long as a lock lives.
    const memory = new SharedArrayBuffer(BLOCKS_PER_SLAB * STATUS_BLOCK.size);
    const bytes = new Uint8Array(memory);
    // First, because it throws where there is no memory.
    slabNumber = registerSlab(bytes);
    slabBytes = bytes;
    slabWords = new Int32Array(memory);
    slabOffset = 0;
    unused.register(slabBytes, slabNumber);
    slabs.set(slabNumber, new WeakRef(slabBytes));
  }
  const offset = slabOffset;
  slabOffset += STATUS_BLOCK.size;
  return {
    lksb,
    connection: undefined,
    bytes: slabBytes,
    words: slabWords,
    offset,
    block: slabNumber * BLOCKS_PER_SLAB + offset / STATUS_BLOCK.size,
    transactionId,
    name: undefined,
    index: -1,
    requestsDue: 0,
    isUnlocking: false,
    astarg: undefined,
    onCompletion: undefined,
    unlockAstarg: undefined,
    cancelAstarg: undefined,
    unlocksDue: 0,
    laterAstargs: undefined,
    lvb: undefined,
  };
}

/** The bytes of the block of this number, {@link STATUS_BLOCK}: what native code sees of it. */
export function blockBytes(block: number): Uint8Array {
  const slab = slabs.get(Math.floor(block / BLOCKS_PER_SLAB))?.deref();
  if (slab === undefined) throw new Error(`stackglue: no status block ${block}`);
  const offset = (block % BLOCKS_PER_SLAB) * STATUS_BLOCK.size;
  return slab.subarray(offset, offset + STATUS_BLOCK.size);
}

/** What a lock status block can be given. */
export interface DlmLksbOptions {
  /**
   * The transaction that its locks are of: 0 to 2^64 - 1, 0 by default. Only stack `user` has it, where
   * it is the `xid` of libdlm's dlm_ls_lockx: a number for people and for deadlock detectors, which the
   * kernel shows in debugfs and acts on in no way.
   */
  readonly transactionId?: bigint | undefined;
}

const OPTIONS: Readonly<Record<keyof DlmLksbOptions, true>> = { transactionId: true };

const U64_MAX = 2n ** 64n - 1n;

let stateOf: (value: unknown) => LksbState;

/**
 * A lock status block. It belongs to the connection of its first lock for good, has at most one lock
 * at a time, and can be used again once that lock is gone.
 */
export class DlmLksb {
  readonly #state: LksbState;

  constructor(options: DlmLksbOptions = {}) {
    checkOptions<DlmLksbOptions>('options', options, OPTIONS);
    const { transactionId } = options;
    if (transactionId !== undefined) {
      if (typeof transactionId !== 'bigint') {
        throw invalidType('options.transactionId', 'of type bigint', transactionId);
      }
      if (transactionId < 0n || transactionId > U64_MAX) {
        throw outOfRange('options.transactionId', `from 0 to ${U64_MAX}`, transactionId);
      }
    }
    this.#state = newState(this, transactionId);
  }

  static {
    stateOf = (value) => {
      if (typeof value === 'object' && value !== null && #state in value) return value.#state;
      throw invalidType('lksb', 'an instance of DlmLksb', value);
    };
  }
}

/**
 * The inside of a lock status block; for the glue and stacks. Throws when the value is none. One
 * function, because every call about a lock asks several times.
 */
export const lksbState = stateOf;

/** The status word, as the stack wrote it. */
export function readStatus(state: LksbState): number {
  return state.words[(state.offset + STATUS) >> 2] ?? 0;
}

/** Whether a request is under way: a lock, conversion or unlock. */
export function isUnderWay({ requestsDue, isUnlocking }: LksbState): boolean {
  return requestsDue > 0 || isUnlocking;
}

/** The flags word: `DLM_SBF_*`. */
export function readFlags(state: LksbState): number {
  return state.words[(state.offset + STATUS_BLOCK.flags) >> 2] ?? 0;
}

/** The kernel's or engine's id of the lock. */
export function readLockId(state: LksbState): number {
  return (state.words[(state.offset + STATUS_BLOCK.lockId) >> 2] ?? 0) >>> 0;
}

/** Sets the status word, for a status that came as a call's result. */
export function writeStatus(state: LksbState, status: number): void {
  state.words[(state.offset + STATUS) >> 2] = status;
}

/** The first `length` bytes of the value block, live. */
export function readLvb(state: LksbState, length: number): Uint8Array {
  const start = state.offset + STATUS_BLOCK.lvb;
  return (state.lvb ??= state.bytes.subarray(start, start + length));
}
