/** What is in a block of the sequencer: the number given last, and whether somebody has asked for the epoch. */
import { firstOf, readHalves, sequenceOf, writeHalves, type Sequence } from './token.js';

/** Of a block that one of us has written; before that it is zeros. */
const HEADER = 0xa8;
const NUMBER_AT = 1;
const ASKED_AT = 9;

/** A block, read. */
export interface Cell extends Sequence {
  /** Whether one of us has written it. */
  readonly isWritten: boolean;
  /** An opener has asked, and no member has written since. */
  readonly isAsked: boolean;
}

export function readCell(bytes: Uint8Array): Cell {
  if (bytes[0] !== HEADER) return { epoch: 0, sequence: 0, isWritten: false, isAsked: false };
  const number = sequenceOf(readHalves(bytes, NUMBER_AT));
  return { ...number, isWritten: true, isAsked: bytes[ASKED_AT] === 1 };
}

export function writeCell(bytes: Uint8Array, number: Sequence, isAsked: boolean): void {
  bytes[0] = HEADER;
  writeHalves(bytes, NUMBER_AT, firstOf(number));
  bytes[ASKED_AT] = isAsked ? 1 : 0;
}
