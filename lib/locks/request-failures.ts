/** What the calls on one lockspace's locks fail with, from a record and a status. */
import { constants } from 'node:os';

import type { LockMode } from '../constants.js';
import type { DlmError } from '../errors.js';
import * as failures from './failures.js';
import type { About } from './failures.js';
import type { LockRecord } from './record.js';
import type { LockName } from './rules.js';

const { EAGAIN, EDEADLK } = constants.errno;

/** What the program has called. */
export function opOf({ adopts, lock }: LockRecord, phase: LockRecord['phase']): About['op'] {
  if (phase !== 'asking' && (phase !== 'numbering' || lock !== undefined)) return 'convert';
  return adopts ? 'adopt' : 'lock';
}

/** Those of one lockspace. */
export class RequestFailures {
  readonly #group: string;
  /** Why the lock manager gives nothing any more. */
  end: DlmError | undefined;

  constructor(group: string) {
    this.#group = group;
  }

  about(op: About['op'], name: LockName, mode: LockMode): About {
    return { op, name, mode, group: this.#group };
  }

  /** What is asked of a lock that can do nothing any more throws. */
  checkUsable(record: LockRecord, mode: LockMode, op: About['op']): void {
    if (record.end !== undefined) throw this.ended(op, record.name, mode, record.end);
    if (record.phase === 'gone' || record.isReleasing) {
      throw failures.released(this.about(op, record.name, mode));
    }
  }

  ended(op: About['op'], name: LockName, mode: LockMode, end: DlmError): DlmError {
    return failures.ended(this.about(op, name, mode), end);
  }

  /** The lock manager has refused it. */
  refused(op: About['op'], record: LockRecord, status: number): DlmError {
    const about = this.about(op, record.name, record.wanted);
    if (this.end !== undefined) return failures.ended(about, this.end);
    if (status === -EDEADLK) return failures.deadlock(about, record.mode);
    if (op === 'adopt' && status === -EAGAIN) return failures.orphanMode(about);
    return failures.refused(about, status);
  }

  /** The same of a conversion. */
  conversion(record: LockRecord, wanted: LockMode, held: LockMode, status: number): DlmError {
    const about = this.about('convert', record.name, wanted);
    return status === -EDEADLK ? failures.deadlock(about, held) : failures.refused(about, status);
  }

  noValue(record: LockRecord, op: About['op']): DlmError {
    return failures.noValue(this.about(op, record.name, record.mode));
  }

  noToken(record: LockRecord): DlmError {
    return failures.noToken(this.about('lock', record.name, record.mode));
  }
}
