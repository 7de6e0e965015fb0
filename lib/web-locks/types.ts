/**
 * The types of the W3C's Web Locks, as `lib.dom.d.ts` has them, for programs that are compiled without it. Each can
 * be given where the other is wanted.
 */

/** Whether others may have the lock at the same time. */
export type WebLockMode = 'exclusive' | 'shared';

/** What a callback is given: the lock while it is held. */
export interface WebLock {
  readonly mode: WebLockMode;
  readonly name: string;
}

/** How a lock is asked for. */
export interface WebLockOptions {
  /** Only if it can be had at once; else the callback is given null. False by default. */
  ifAvailable?: boolean;
  /** `exclusive` by default. */
  mode?: WebLockMode;
  /** Ends the wait; once the lock is granted it changes nothing. */
  signal?: AbortSignal;
  /** Takes it from those who have it, and goes before all who wait. False by default. */
  steal?: boolean;
}

/** What is done while the lock is held: until what it returns has settled. */
export type WebLockGrantedCallback<T> = (lock: WebLock | null) => T;

/** A lock or a request, as `query()` shows it. */
export interface WebLockInfo {
  clientId?: string;
  mode?: WebLockMode;
  name?: string;
}

/** What is held and what is waited for. */
export interface WebLockManagerSnapshot {
  held?: WebLockInfo[];
  pending?: WebLockInfo[];
}

/** What `navigator.locks` is in a browser. */
export interface WebLockManager {
  /**
   * Who has locks, and who waits for them: of all programs that use Web Locks in this lockspace. Waits until each of
   * them has answered, or is gone.
   */
  query(): Promise<WebLockManagerSnapshot>;
  /**
   * Calls `callback` with the lock when it is granted, and gives it up when what that returns has settled. Settles as
   * that does, after the release. README.md has what it rejects with otherwise.
   */
  request<T>(name: string, callback: WebLockGrantedCallback<T>): Promise<Awaited<T>>;
  request<T>(
    name: string,
    options: WebLockOptions,
    callback: WebLockGrantedCallback<T>,
  ): Promise<Awaited<T>>;
}
