/**
 * What a lockspace's glue calls, handed on to whom it concerns. It is there before the connection, because
 * the glue wants it to connect; nothing comes before the lockspace has filled it in.
 */
import type { LockMode } from '../constants.js';
import type { ClusterNotice, LockingProtocol, ProtocolVersion } from '../glue.js';
import type { Lookout } from './lookout.js';
import type { LockRecord } from './record.js';
import type { Requests } from './requests.js';

export class Wiring implements LockingProtocol {
  readonly maxVersion: ProtocolVersion;
  requests!: Requests;
  /** Whose requests are its own. */
  lookout: Lookout | undefined;
  nodeDown!: (node: number) => void;
  notice!: (notice: ClusterNotice) => void;

  constructor(maxVersion: ProtocolVersion) {
    this.maxVersion = maxVersion;
  }

  lockAst(at: unknown): void {
    if (at === this.lookout) this.lookout?.lockAst();
    else this.requests.lockAst(at as LockRecord);
  }

  blockingAst(at: unknown, level: LockMode): unknown {
    if (at === this.lookout) return undefined;
    return this.requests.blockingAst(at as LockRecord, level);
  }

  unlockAst(at: unknown, error: number): void {
    if (at !== this.lookout) this.requests.unlockAst(at as LockRecord, error);
  }
}
