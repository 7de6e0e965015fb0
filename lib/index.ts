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
  type LockName,
  type LockOptions,
  type LockSet,
  type Lockspace,
  type LockspaceEvents,
  type LockspaceOptions,
  type LockWork,
  type Mode,
  type PurgeOptions,
  type StackChoice,
  type ValueState,
  type WaitOptions,
} from './locks/index.js';
