/** What each stack takes: the one table of names and modes, and who finds conversion deadlocks. */
import { types } from 'node:util';

import { checkText, invalidType, outOfRange } from '../errors.js';
import type { StackFeatures } from '../glue.js';
import { PREFIX } from '../tokens/locks.js';
import { modeNumbers, type ModeNumbers } from './modes.js';

/** The name of a lock: text, which becomes UTF-8, or the bytes themselves. */
export type LockName = string | Uint8Array;

/** The rules of a stack. */
export interface Rules {
  /** Of a value block, bytes. */
  readonly blockLength: number;
  /** Whether the lock manager flags a block whose last writer may be missing; else it zeroes it. */
  readonly flagsBlocks: boolean;
  /** Bytes. */
  readonly nameMax: number;
  readonly modes: ModeNumbers;
  /** Whether the second of two conversions that are in each other's way is told. */
  readonly detectsDeadlocks: boolean;
  /** Whether a persistent lock stays when its process has ended. */
  readonly hasOrphans: boolean;
}

/**
 * Names that a lock manager, or our own protocol, needs itself. Refused on all stacks, so that a program
 * may change its stack.
 */
const RESERVED = ['$RECOVERY', 'version_lock'] as const;
const [RECOVERY, VERSION_LOCK] = RESERVED;

/** UTF-8 makes at most so many bytes of a UTF-16 unit. */
const BYTES_PER_UNIT = 3;

/** The rules of a stack. */
export function rulesOf(features: StackFeatures): Rules {
  const { nameLengthMax, modes, conversionDeadlock, lvbLength, lvbAfterDeath, orphans } = features;
  return {
    blockLength: lvbLength,
    flagsBlocks: lvbAfterDeath === 'flagged',
    nameMax: nameLengthMax,
    modes: modeNumbers(modes),
    detectsDeadlocks: conversionDeadlock === 'refused',
    hasOrphans: orphans === true,
  };
}

/**
 * Throws unless a lock can have this name. Returns it, bytes as a copy. A lone surrogate is left to the
 * glue, which looks for it anyway: {@link checkWellFormed}.
 */
export function checkName<Name extends LockName>(argument: string, name: Name, rules: Rules): Name {
  const { nameMax } = rules;
  if (typeof name === 'string') {
    const { length } = name;
    if (length === 0 || (length * BYTES_PER_UNIT > nameMax && Buffer.byteLength(name) > nameMax)) {
      throw outOfRange(argument, `1 to ${nameMax} bytes long on this stack`, name);
    }
    if (isReserved(name)) throw reserved(argument, name);
    if (name.charCodeAt(length - 1) === 0) throw endsInZero(argument, name);
    return name;
  }
  if (!types.isUint8Array(name)) {
    throw invalidType(argument, 'of type string or an instance of Uint8Array', name);
  }
  if (name.length === 0 || name.length > nameMax) {
    throw outOfRange(argument, `1 to ${nameMax} bytes long on this stack`, name);
  }
  const copy = Uint8Array.from(name);
  if (isReserved(Buffer.from(copy).toString('latin1'))) throw reserved(argument, copy);
  if (copy.at(-1) === 0) throw endsInZero(argument, copy);
  return copy as Name;
}

/** Throws if UTF-8 has no bytes of its own for the name. */
export function checkWellFormed(argument: string, name: LockName): void {
  if (typeof name === 'string') checkText(argument, name);
}

/** The same for several, which are all looked at before any is locked. */
export function checkNames(names: readonly LockName[], rules: Rules): LockName[] {
  // Array.from, because map passes over what is missing.
  return Array.from(names, (name, at) => {
    const argument = `names[${at}]`;
    checkWellFormed(argument, name);
    return checkName(argument, name, rules);
  });
}

/** What a program may do with as it likes. */
export function copyName(name: LockName): LockName {
  return typeof name === 'string' ? name : Uint8Array.from(name);
}

/** The name for people. */
export function printName(name: LockName): string {
  return typeof name === 'string' ? JSON.stringify(name) : `0x${Buffer.from(name).toString('hex')}`;
}

function isReserved(name: string): boolean {
  return name === RECOVERY || name === VERSION_LOCK || name.startsWith(PREFIX);
}

function reserved(argument: string, name: LockName): RangeError {
  return outOfRange(argument, `none of the reserved ${RESERVED.join(', ')}, ${PREFIX}…`, name);
}

/** From Linux 6.12 on such a name is that of another lock, too: native/KERNELS.md. */
function endsInZero(argument: string, name: LockName): RangeError {
  return outOfRange(argument, 'without a zero byte at its end', name);
}
