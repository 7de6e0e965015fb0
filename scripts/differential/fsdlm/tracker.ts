/**
 * What a program knows of its locks from the completions it has seen: enough to choose commands that
 * make sense.
 */
import { constants } from 'node:os';

import { DLM_LKF, DLM_LOCK, DLM_SBF } from '../../../lib/glue.js';
import type { WireEvent } from './agent.js';
import type { Command } from './program.js';

interface Pending {
  readonly what: 'lock' | 'convert' | 'unlock';
  readonly mode: number;
  readonly flags: number;
  /** What an unlock found under way: it ends first, or the unlock is refused. */
  readonly first?: Pending | undefined;
}

export interface TrackedLock {
  readonly lock: number;
  readonly node: number;
  readonly resource: number;
  /** Held, or undefined: not granted yet. */
  mode: number | undefined;
  /** What is under way. */
  pending: Pending | undefined;
  cancelling: boolean;
  /**
   * A conversion with CONVDEADLK was cancelled: its master may have demoted it without a word, and it
   * and the lock's node may not agree on the mode held (fs/dlm/lock.c:grant_pending_convert()).
   */
  isUnsure: boolean;
}

export class Tracker {
  readonly #locks = new Map<number, TrackedLock>();

  /** Locks that have not ended. */
  get locks(): TrackedLock[] {
    return [...this.#locks.values()];
  }

  on(resource: number): TrackedLock[] {
    return this.locks.filter((lock) => lock.resource === resource);
  }

  give(command: Command): void {
    if (command.do === 'lock') {
      const { lock, node, resource, mode, flags } = command;
      this.#locks.set(lock, {
        lock,
        node,
        resource,
        mode: undefined,
        pending: { what: 'lock', mode, flags },
        cancelling: false,
        isUnsure: false,
      });
      return;
    }
    const lock = this.#locks.get(command.lock);
    if (lock === undefined) return;
    if ((command.flags & DLM_LKF.CANCEL) !== 0) {
      if (lock.pending !== undefined) lock.cancelling = true;
    } else if (command.do === 'unlock') {
      lock.pending = { what: 'unlock', mode: 0, flags: command.flags, first: lock.pending };
    } else {
      lock.pending ??= { what: 'convert', mode: command.mode, flags: command.flags };
    }
  }

  see(number: number, [, kind, value, flags = 0]: WireEvent): void {
    const lock = this.#locks.get(number);
    if (lock === undefined) return;
    if (kind === 'b') return;
    if (kind === 'u' && value === 0) {
      this.#locks.delete(number);
      return;
    }
    const unlock = lock.pending?.what === 'unlock' ? lock.pending : undefined;
    if (unlock !== undefined && (kind === 'r' || kind === 'u')) {
      lock.pending = unlock.first;
      return;
    }
    if (kind === 'r' && value === -constants.errno.EBUSY) return;
    const pending = unlock?.first ?? lock.pending;
    if (kind === 'x' && ((pending?.flags ?? 0) & DLM_LKF.CONVDEADLK) !== 0) lock.isUnsure = true;
    lock.cancelling = false;
    lock.pending = unlock?.first === undefined ? undefined : { ...unlock, first: undefined };
    if (kind === 'c' && value === 0 && pending !== undefined) {
      const { ALTPR } = DLM_LKF;
      const { PR, CW } = DLM_LOCK;
      const other = (pending.flags & ALTPR) !== 0 ? PR : CW;
      lock.mode = (flags & DLM_SBF.ALTMODE) !== 0 ? other : pending.mode;
      return;
    }
    if (lock.mode === undefined) this.#locks.delete(number);
    else if ((flags & DLM_SBF.DEMOTED) !== 0) lock.mode = DLM_LOCK.NL;
  }

  /** The node is dead. */
  forget(node: number): void {
    for (const [number, lock] of this.#locks) if (lock.node === node) this.#locks.delete(number);
  }
}
