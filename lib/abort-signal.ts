/** Signals, by what they have rather than by their class: those of other realms and of libraries are welcome. */

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
 * when it is listened to ends it in the same way; what it throws later is an uncaught exception.
 */
export async function unlessAborted<T>(
  signal: AbortSignal | undefined,
  work: Promise<T>,
  leave: () => void,
): Promise<T> {
  if (signal === undefined) return work;
  let onAbort!: () => void;
  const aborted = new Promise<never>((_, reject) => {
    // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- the signal's reason, whatever it is
    onAbort = () => reject(reasonOf(signal));
  });
  // It may lose the race, and reject all the same.
  aborted.catch(() => undefined);
  try {
    signal.addEventListener('abort', onAbort);
  } catch (error) {
    leave();
    throw error;
  }
  try {
    if (signal.aborted) onAbort();
    const result = await Promise.race([work, aborted]);
    // In the microtasks between the two.
    throwIfAborted(signal);
    return result;
  } catch (error) {
    if (signal.aborted) {
      leave();
      throw reasonOf(signal);
    }
    throw error;
  } finally {
    unlisten(signal, onAbort);
  }
}

/** A library's mistake must not keep the work from going on, nor be lost. */
export function unlisten(signal: AbortSignal, listener: () => void): void {
  try {
    signal.removeEventListener('abort', listener);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
