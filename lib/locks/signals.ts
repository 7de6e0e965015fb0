/**
 * Listening to signals. A signal has one listener of ours while somebody waits with it, however many do: Node.js
 * warns of the eleventh, and takes the longer to remove one the more there are.
 */

import { unlisten } from '../abort-signal.js';

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
  unlisten(signal, watched.listener);
}
