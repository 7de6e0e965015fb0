/**
 * What the tokens need of the floor that they stand on: locks on names of their own. `lib/locks` provides it, and
 * imports this folder, never the other way.
 */

/** Names that begin so are ours, on all stacks. */
export const PREFIX = '$stackglue.';

/** Our names; at most 32 bytes long, as `o2cb` has it. README.md says what each is for. */
export const NAMES = {
  door: `${PREFIX}door`,
  hall: `${PREFIX}hall`,
  porch: `${PREFIX}porch`,
  members: `${PREFIX}members`,
  plain: `${PREFIX}plain`,
  sequencer: `${PREFIX}sequencer`,
  second: `${PREFIX}sequencer.2`,
  turn: `${PREFIX}turn`,
} as const;

/** The modes that are needed of it. */
export type OwnMode = 'NL' | 'CW' | 'PR' | 'EX';

/** What ends a wait early. */
export interface OwnLimit {
  readonly signal: AbortSignal;
}

/** A lock on one of our names, with its whole value block. A `Lock` of `lib/locks` is one. */
export interface OwnLock {
  readonly value: Uint8Array;
  readonly valueState: 'fresh' | 'unwritten' | 'invalid' | 'stale';
  onBlocked: ((mode: never) => void) | undefined;
  convert(mode: OwnMode, limit?: OwnLimit): Promise<void>;
  release(): Promise<void>;
}

/** Where such locks come from. What waits ends when the lockspace does; then it rejects with why. */
export interface OwnLocks {
  /** Whether there are modes that go with themselves and not with each other: `CW` and `PR`. */
  readonly hasConcurrentWrite: boolean;
  /** Whether a block whose writer has died is flagged; else it is zeros. */
  readonly flagsBlocks: boolean;
  lock(name: string, mode: OwnMode, limit?: OwnLimit): Promise<OwnLock>;
  /** Null: somebody is in the way. */
  tryLock(name: string, mode: OwnMode, limit?: OwnLimit): Promise<OwnLock | null>;
}
