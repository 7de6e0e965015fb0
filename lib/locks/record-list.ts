/** The locks that are held or waited for, and status blocks that serve again. */
import { DlmLksb } from '../glue.js';
import type { LockRecord } from './record.js';

/** So many idle status blocks are kept. */
const IDLE_MAX = 256;

/** Those of one lockspace. */
export class RecordList {
  readonly #records: LockRecord[] = [];
  readonly #idle: DlmLksb[] = [];
  readonly #blockOf: (lksb: DlmLksb) => Uint8Array;

  /** @param blockOf the value block of a status block. */
  constructor(blockOf: (lksb: DlmLksb) => Uint8Array) {
    this.#blockOf = blockOf;
  }

  get all(): readonly LockRecord[] {
    return this.#records;
  }

  /** The place of the next one. */
  get size(): number {
    return this.#records.length;
  }

  add(record: LockRecord): void {
    this.#records.push(record);
  }

  /** The lock manager has no lock of it. */
  remove(record: LockRecord): void {
    // Of a cancel that was too late something may be due still on `o2cb`.
    if (!record.wasCancelled) this.keepLksb(record);
    const records = this.#records;
    const last = records.pop();
    if (last === undefined || last === record) return;
    records[record.slot] = last;
    last.slot = record.slot;
  }

  /** Takes all out, and gives up what is idle. */
  clear(): LockRecord[] {
    this.#idle.length = 0;
    return this.#records.splice(0);
  }

  /** A status block of no transaction. */
  takeLksb(): DlmLksb {
    return this.#idle.pop() ?? new DlmLksb();
  }

  /** The lock manager has nothing of the record's status block. */
  keepLksb({ lksb, block, isLksbOwn }: LockRecord): void {
    if (isLksbOwn || this.#idle.length >= IDLE_MAX) return;
    // Of a resource that has no block nothing is read, and what is left would look like one.
    if (block !== undefined) this.#blockOf(lksb).fill(0);
    this.#idle.push(lksb);
  }
}
