/** Cached locks: what of this folder is public, as `stackglue`. */
export type { CachedLock, HoldWork } from './cached-lock.js';
export type { CachedValue, CachedValueOptions, Change } from './cached-value.js';
export type { Hold } from './hold.js';
export type { CachedMode } from './levels.js';
export type {
  CachedOptions,
  CacheLimits,
  HoldOptions,
  TrimOptions,
  TryHoldOptions,
} from './options.js';
export type { Revocation, RevocationState, RevokeHandler, RevokeReason } from './revocation.js';
