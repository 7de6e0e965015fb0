/**
 * fs/dlm's messages in captured Ethernet frames. TCP's payload is not encrypted, so a message is found
 * by its header wherever it lies. One that is cut off by the end of its frame is left out.
 */

/** `DLM_MSG_*` of fs/dlm/dlm_internal.h, from 1. */
const TYPES = [
  'request',
  'convert',
  'unlock',
  'cancel',
  'request reply',
  'convert reply',
  'unlock reply',
  'cancel reply',
  'grant',
  'bast',
  'lookup',
  'remove',
  'lookup reply',
  'purge',
] as const;

/** A message about a lock. */
export interface DlmMessage {
  readonly type: (typeof TYPES)[number];
  /** The sender's number. */
  readonly node: number;
  /** What follows the fixed part: a lock's name, or a value block. */
  readonly extra: Buffer;
}

/** `DLM_HEADER_MAJOR` as it lies in memory, less the byte of the minor version before it. */
const MAJOR = Buffer.from([0x00, 0x03, 0x00]);
const COMMAND_MESSAGE = 1;
/** Offsets in `struct dlm_header` and `struct dlm_message`. */
const NODE = 8;
const LENGTH = 12;
const COMMAND = 14;
const TYPE = 16;
const EXTRA = 88;

/** The messages in a frame, in order. */
export function dlmMessages(frame: Uint8Array): DlmMessage[] {
  const bytes = Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength);
  const messages: DlmMessage[] = [];
  for (let at = bytes.indexOf(MAJOR); at >= 0; at = bytes.indexOf(MAJOR, at + 1)) {
    const start = at - 1;
    if (start < 0 || start + EXTRA > bytes.length) continue;
    const length = bytes.readUInt16LE(start + LENGTH);
    if (bytes[start + COMMAND] !== COMMAND_MESSAGE || start + length > bytes.length) continue;
    const type = TYPES[bytes.readUInt32LE(start + TYPE) - 1];
    if (type === undefined || length < EXTRA) continue;
    const extra = bytes.subarray(start + EXTRA, start + length);
    messages.push({ type, node: bytes.readUInt32LE(start + NODE), extra });
  }
  return messages;
}
