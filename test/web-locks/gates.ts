/** Callbacks that hold until the test says so. */
import type { WebLock, WebLockManager, WebLockOptions } from '../../lib/web-locks/index.js';

/** A request that holds its lock until it is let go. */
export interface Gate {
  /** Resolves to the lock, or null, when the callback is called. */
  readonly called: Promise<WebLock | null>;
  /** What `request()` returned. Its rejection need not be looked at. */
  readonly outcome: Promise<unknown>;
  /** Ends the callback, with this. */
  open(result?: unknown): void;
}

/** Asks for a lock, and holds it. */
export function hold(locks: WebLockManager, name: string, options: WebLockOptions = {}): Gate {
  let open!: (result?: unknown) => void;
  const opened = new Promise<unknown>((resolve) => (open = resolve));
  let call!: (lock: WebLock | null) => void;
  const called = new Promise<WebLock | null>((resolve) => (call = resolve));
  const outcome = locks.request(name, options, (lock) => {
    call(lock);
    return opened;
  });
  outcome.catch(() => undefined);
  return { called, outcome, open };
}

/** `name mode` of all that `query()` shows, in its order. */
export async function seen(locks: WebLockManager): Promise<{ held: string[]; pending: string[] }> {
  const { held = [], pending = [] } = await locks.query();
  const show = ({ name, mode }: { name?: string; mode?: string }): string => `${name} ${mode}`;
  return { held: held.map(show), pending: pending.map(show) };
}
