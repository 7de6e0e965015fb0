/** Locks with promises: what of this folder is public, as `stackglue`. */
export { openLockspace } from './open.js';
export type { LockspaceOptions, StackChoice } from './options.js';
export type { Lockspace, LockWork } from './lockspace.js';
export type { LockspaceEvents } from './events.js';
export type { BlockedHandler, Lock } from './lock.js';
export type { LockSet } from './lock-set.js';
export type { LockMessage, RecoveryMessage, RevokedMessage } from './messages.js';
export type { Health, HealthReason, HealthState } from './health.js';
export type { WaitOptions } from './limit.js';
export type { AdoptOptions, LockOptions, PurgeOptions } from './lock-options.js';
export type { ValueState } from './block.js';
export type { Mode } from './modes.js';
export type { LockName } from './rules.js';
