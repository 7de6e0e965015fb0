/**
 * Signals, by what they have rather than by their class: those of other realms and of libraries are welcome. One
 * has one listener of ours while somebody waits with it, however many do: Node.js warns of the eleventh, and
 * takes the longer to remove one the more there are.
 */

/** Whether it can be listened to as an AbortSignal. */
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

/**
 * Settles as `work` does; unless the signal is aborted before, and then it rejects at once with the reason, and
 * `leave` is called, with `work` still under way or done. No listener is left. What a library's signal throws
 * when it is listened to, or asked, ends it in the same way; what it throws later is an uncaught exception.
 */
export function unlessAborted<T>(
  signal: AbortSignal | undefined,
  work: Promise<T>,
  leave: () => void,
): Promise<T> {
  if (signal === undefined) return work;
  return new Promise<T>((resolve, reject) => {
    // What was told counts, whatever the signal says of itself then.
    let isOver = false;
    const giveUp = (why: () => unknown): void => {
      if (isOver) return;
      isOver = true;
      unwatch(signal, watcher);
      let reason: unknown;
      try {
        reason = why();
      } catch (error) {
        reason = error;
      }
      leave();
      // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- the signal's reason, whatever it is
      reject(reason);
    };
    const watcher: Watcher = { aborted: () => giveUp(() => reasonOf(signal)) };
    const end = (settle: () => void): void => {
      if (isOver) return;
      isOver = true;
      unwatch(signal, watcher);
      settle();
    };
    work.then(
      (result) => end(() => resolve(result)),
      // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- handed on as it was
      (error: unknown) => end(() => reject(error)),
    );
    try {
      watch(signal, watcher);
      if (signal.aborted) watcher.aborted(signal);
    } catch (error) {
      giveUp(() => error);
    }
  });
}

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

/** A library's mistake must not keep the work from going on, nor be lost. */
function unlisten(signal: AbortSignal, listener: () => void): void {
  try {
    signal.removeEventListener('abort', listener);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
