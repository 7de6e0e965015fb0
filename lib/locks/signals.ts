/**
 * Listening to signals. A signal has one listener of ours while somebody waits with it, however many do: Node.js
 * warns of the eleventh, and takes the longer to remove one the more there are.
 */

/** Who waits with a signal. */
export interface Watcher {
  /** The signal was aborted. */
  aborted(signal: AbortSignal): void;
}

interface Watch {
  readonly watchers: Set<Watcher>;
  readonly listener: () => void;
}

const watches = new WeakMap<AbortSignal, Watch>();

/** By what it has rather than by its class: signals of other realms and of libraries are welcome. */
export function isSignal(value: unknown): value is AbortSignal {
  if (typeof value !== 'object' || value === null) return false;
  const { aborted, addEventListener, removeEventListener } = value as Partial<AbortSignal>;
  return (
    typeof aborted === 'boolean' &&
    typeof addEventListener === 'function' &&
    typeof removeEventListener === 'function'
  );
}

/** Why it was aborted. Not all libraries' signals say; a rejection with nothing would help nobody. */
export function reasonOf(signal: AbortSignal): unknown {
  const reason: unknown = signal.reason;
  return reason === undefined
    ? new DOMException('This operation was aborted', 'AbortError')
    : reason;
}

/** Throws if the signal has been aborted: its reason. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw reasonOf(signal);
}

/** Has the watcher told when the signal is aborted. Throws what a library's signal throws, and changes nothing. */
export function watch(signal: AbortSignal, watcher: Watcher): void {
  const watched = watches.get(signal);
  if (watched !== undefined) {
    watched.watchers.add(watcher);
    return;
  }
  const watchers = new Set([watcher]);
  const listener = (): void => {
    for (const each of watchers) each.aborted(signal);
  };
  signal.addEventListener('abort', listener);
  watches.set(signal, { watchers, listener });
}

/** Has it not told any more. */
export function unwatch(signal: AbortSignal, watcher: Watcher): void {
  const watched = watches.get(signal);
  if (watched?.watchers.delete(watcher) !== true || watched.watchers.size > 0) return;
  watches.delete(signal);
  try {
    signal.removeEventListener('abort', watched.listener);
  } catch (error) {
    // A library's mistake must not keep the lock's own work from going on, nor be lost.
    queueMicrotask(() => {
      throw error;
    });
  }
}
