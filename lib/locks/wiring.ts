/**
 * What a lockspace's glue calls, handed on to whom it concerns. It is there before the connection, because
 * the glue wants it to connect; nothing comes before the lockspace has filled it in.
 */
import type { LockMode } from '../constants.js';
import type { ClusterNotice, LockingProtocol, ProtocolVersion } from '../glue.js';
import type { LockRecord } from './record.js';
import type { Requests } from './requests.js';

export class Wiring implements LockingProtocol<LockRecord> {
  readonly maxVersion: ProtocolVersion;
  requests!: Requests;
  nodeDown!: (node: number) => void;
  notice!: (notice: ClusterNotice) => void;

  constructor(maxVersion: ProtocolVersion) {
    this.maxVersion = maxVersion;
  }

  lockAst(record: LockRecord): void {
    this.requests.lockAst(record);
  }

  blockingAst(record: LockRecord, level: LockMode): unknown {
    return this.requests.blockingAst(record, level);
  }

  unlockAst(record: LockRecord, error: number): void {
    this.requests.unlockAst(record, error);
  }
}
