/**
 * `stackglue`: locks with promises, which is what most programs want, and what all parts share: modes, flags,
 * statuses and errors. The kernel's own calls are at `stackglue/glue`.
 */
export * from './shared.js';
export { useNativeBinding } from './native.js';
export {
  openLockspace,
  type AdoptOptions,
  type BlockedHandler,
  type Health,
  type HealthReason,
  type HealthState,
  type Lock,
  type LockMessage,
  type LockName,
  type LockOptions,
  type LockSet,
  type Lockspace,
  type LockspaceEvents,
  type LockspaceOptions,
  type LockWork,
  type Mode,
  type PurgeOptions,
  type RecoveryMessage,
  type RevokedMessage,
  type StackChoice,
  type ValueState,
  type WaitOptions,
} from './locks/index.js';
export {
  type CachedLock,
  type CachedMode,
  type CachedOptions,
  type CachedValue,
  type CachedValueOptions,
  type CacheLimits,
  type Change,
  type Hold,
  type HoldOptions,
  type HoldWork,
  type Revocation,
  type RevocationState,
  type RevokeHandler,
  type RevokeReason,
  type TrimOptions,
  type TryHoldOptions,
} from './cached/index.js';
