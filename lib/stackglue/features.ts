/**
 * What stacks may differ in. A plugin states it; `stackglue/conformance` then expects exactly that, and
 * leaves out what the stack says it cannot do. Whatever is not named here, every stack must do alike.
 */
import type { LockMode } from '../constants.js';

/** What a stack has, and how it does what stacks do differently. */
export interface StackFeatures {
  /**
   * The modes that it grants; NL, PR and EX are a must. Every pair of them is tested for whether they
   * go together, and a mode that is not among them must be refused in the call.
   */
  readonly modes: readonly LockMode[];
  /** Bytes of a value block. A block that is full to the last byte must come over. */
  readonly lvbLength: number;
  /** The longest lock name, bytes. It must be told from its neighbour; a longer one is refused. */
  readonly nameLengthMax: number;
  /**
   * How a NOQUEUE request for a busy resource fails with EAGAIN: as the call's result, or the call
   * returns 0 and `lockAst` comes with that status. Tested for new locks and for conversions.
   */
  readonly noqueueFails: 'in the call' | 'by AST';
  /**
   * What becomes of two holders of PR that both convert to EX, each in the other's way: both wait, and nobody
   * is told, or the second one's conversion is `refused` with EDEADLK and it keeps PR.
   */
  readonly conversionDeadlock: 'waits' | 'refused';
  /** Whether a new PR is granted while others hold PR and an EX waits for them. */
  readonly newReaders: 'pass' | 'wait';
  /**
   * The errno of joining a group that runs at an incompatible protocol. Undefined for a stack that
   * does not negotiate: then the suite "locking protocols" is left out.
   */
  readonly protocolErrno: number | undefined;
  /**
   * What a value block is once a holder in EX has died, which may have meant to change it: `zeroed`
   * and called valid, or `flagged`, with `lvbValid` false.
   */
  readonly lvbAfterDeath: 'zeroed' | 'flagged';
  /**
   * Whether a lock with `PERSISTENT` stays on its node when its process has ended, an orphan: `ORPHAN` adopts
   * it, and `dlmPurge`, which has to take the stack's connections, gives it up. False by default.
   */
  readonly orphans?: boolean;
}
