/**
 * Elections: of all who stand for a name, one leads at a time, for a term. A term is a lock in `EX`, so the next one begins
 * when the leader steps down, dies, or is cut off and fenced; and it has a fencing token, because a leader that stands still
 * goes on believing that it leads.
 */
import { isSignal, reasonOf, unwatch, watch, type Watcher } from '../abort-signal.js';
import { checkOptions, invalidType } from '../errors.js';
import type { LockName, Lockspace } from '../locks/index.js';

/** How one stands. */
export interface ElectOptions {
  /** Stands no more: the iteration rejects with its `reason`. `term.signal` is aborted with it, too. */
  readonly signal?: AbortSignal | undefined;
}

/** A time in which nobody else leads, as far as this process can know. */
export interface Term {
  /** Larger than that of every term before: what is led has to refuse lower ones. */
  readonly token: bigint;
  /**
   * Aborted when somebody else may lead: the lock is lost, the lockspace closed, or the term is over; and by the signal of
   * `elect`. The reason says which: a `DlmError`, an `AbortError`, the signal's own.
   */
  readonly signal: AbortSignal;
}

const OPTIONS: Readonly<Record<keyof ElectOptions, true>> = { signal: true };

/**
 * The terms in which this process leads. The body of `for await` is the term: when it comes to its end the leader steps down,
 * and stands again behind all who wait; `break`, `return` and a throw step down for good. README.md has the rest.
 *
 * Rejects with what `ls.lock` rejects with, and with `ERR_DLM_NO_TOKEN` in a lockspace without `tokens`.
 */
export function elect(
  ls: Lockspace,
  name: LockName,
  options: ElectOptions = {},
): AsyncGenerator<Term, never, undefined> {
  if (typeof (ls as Partial<Lockspace> | null | undefined)?.lock !== 'function') {
    throw invalidType('ls', 'an instance of Lockspace', ls);
  }
  checkOptions<ElectOptions>('options', options, OPTIONS);
  const { signal } = options;
  if (signal !== undefined && !isSignal(signal)) {
    throw invalidType('options.signal', 'an instance of AbortSignal', signal);
  }
  return terms(ls, name, signal);
}

async function* terms(
  ls: Lockspace,
  name: LockName,
  signal: AbortSignal | undefined,
): AsyncGenerator<Term, never, undefined> {
  for (;;) {
    const lock = await ls.lock(name, 'EX', { signal });
    const over = new AbortController();
    // Not AbortSignal.any(), which would have a signal that lives on collect one of ours for each term.
    const sources = signal === undefined ? [lock.lost] : [lock.lost, signal];
    const watcher: Watcher = { aborted: (source) => over.abort(reasonOf(source)) };
    try {
      const { token } = lock;
      for (const source of sources) {
        watch(source, watcher);
        if (source.aborted) watcher.aborted(source);
      }
      yield Object.freeze({ token, signal: over.signal });
    } finally {
      for (const source of sources) unwatch(source, watcher);
      // Before others lead.
      over.abort(new DOMException('The term is over', 'AbortError'));
      // If it was lost, the next lock says so.
      await lock[Symbol.asyncDispose]();
    }
  }
}
