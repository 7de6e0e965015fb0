/**
 * A connection's link to its lockspace: the native object, its locks, and the way from its beginning to
 * its end.
 */
import { constants } from 'node:os';

import {
  NoticeKind,
  type NativeUserConnection as NativeUser,
  type NativeUserListener,
} from '../../native.js';
import type { StackConnection } from '../../stackglue/connection.js';
import { NativeLocks, type AstWrappers } from '../native-locks.js';
import { openNative } from '../open-native.js';
import { membershipOf, toNotice } from '../to-notice.js';
import { disconnected, lostMeanwhile, openError } from './open-failure.js';

const { errno } = constants;

/** `DLM_USER_LVB_LEN`, bytes. */
export const LVB_LEN = 32;

/** Where lockspaces are: in the kernel, or in the emulation. All that the two differ in. */
export interface LockspaceSource {
  /** Begins to open the lockspace; what becomes of it is told to `onState`, after the call. */
  readonly open: (
    name: string,
    batch: Int32Array,
    onEvents: (count: number) => void,
    onState: NativeUserListener,
  ) => NativeUser;
  /** Whether the locks are lost with the keeper. */
  readonly needsKeeper: boolean;
  /** Whether what is asked for is mostly ready when the call that asks returns. */
  readonly answersAtOnce: boolean;
}

/** What the end of a link left. */
export interface LinkEnd {
  /** The deadline came first: the locks are dropped when the lockspace works again. */
  readonly isPending: boolean;
}

/** A link to a lockspace, open or being opened. */
export class Link {
  readonly connection: StackConnection;
  readonly native: NativeUser;
  readonly locks: NativeLocks;
  /** Resolves once the lockspace is open; rejects if it does not come to that. */
  readonly opened: Promise<void>;
  /** This node's number, once it is open. */
  thisNode = 0;
  /** Rejects when the locks are lost, and every request has completed. */
  readonly lost: Promise<never>;
  /** Resolves when nothing of the link is left in this process. */
  readonly closed: Promise<LinkEnd>;
  readonly #calls = new Map<number, (status: number) => void>();
  readonly #lose: (kind: Parameters<typeof lostMeanwhile>[1]) => void;
  #lastTicket = 0;
  #hasBegun = false;

  constructor(connection: StackConnection, wrappers: AstWrappers, source: LockspaceSource) {
    const { name } = connection;
    this.connection = connection;
    const call = (ticket: number, status: number): void => {
      this.#calls.get(ticket)?.(status);
      this.#calls.delete(ticket);
    };
    const { answersAtOnce } = source;
    this.locks = new NativeLocks(connection, { ...wrappers, call }, LVB_LEN, answersAtOnce);
    let end!: (end: LinkEnd) => void;
    this.closed = new Promise((resolve) => (end = resolve));
    let open!: () => void;
    let fail!: (error: Error) => void;
    this.opened = new Promise((resolve, reject) => {
      [open, fail] = [resolve, reject];
    });
    // Whoever waits for it hears of a failure; when nobody does any more, nobody has to.
    this.opened.catch(() => undefined);
    let lose!: (error: Error) => void;
    this.lost = new Promise((_, reject) => (lose = reject));
    this.lost.catch(() => undefined);
    this.#lose = (kind) => {
      lose(lostMeanwhile(name, kind));
      this.locks.lose();
      this.#endCalls();
    };
    const listener: NativeUserListener = (state, code, error, detail) => {
      switch (state) {
        case 'open':
          this.thisNode = code;
          open();
          break;
        case 'failed':
          fail(openError(name, code, error, detail));
          break;
        case 'notice': {
          const ring = membershipOf(this.native)?.ring;
          if (code === NoticeKind.nodeFailed) {
            connection.nodeDown(error, ring);
            break;
          }
          const notice = toNotice(code, error, ring, source.needsKeeper);
          if (notice.locks === 'lost') this.#lose(notice.kind);
          // Who has no connection yet hears of the loss by that.
          if (this.#hasBegun) connection.notice(notice);
          break;
        }
        case 'closed':
          this.#endCalls();
          fail(disconnected(name));
          end({ isPending: code === 1 });
      }
    };
    this.native = openNative(name, () =>
      source.open(name, this.locks.batch, this.locks.dispatch, listener),
    );
    this.locks.native = this.native;
  }

  /** The program has its connection, and is told what happens. */
  begin(): void {
    this.#hasBegun = true;
    this.native.begin();
  }

  #endCalls(): void {
    for (const complete of this.#calls.values()) complete(-errno.ENOTCONN);
    this.#calls.clear();
  }

  /** Makes a call that completes with a status: 0, or a negative errno; -ENOTCONN if the link ends. */
  async call(make: (ticket: number) => number): Promise<number> {
    this.#lastTicket = (this.#lastTicket + 1) % 2 ** 31;
    const ticket = this.#lastTicket;
    const completed = new Promise<number>((resolve) => this.#calls.set(ticket, resolve));
    const refusal = make(ticket);
    if (refusal < 0) {
      this.#calls.delete(ticket);
      return refusal;
    }
    return completed;
  }
}

/** The link of a connection that is open. */
export function linkOf(connection: StackConnection): Link {
  return connection.private as Link;
}
