/**
 * A file of dlmfs on one node: what fs/ocfs2/dlmfs/userdlm.c does between the opens of processes and the
 * lock manager, with the same states and the same order of steps. The lock manager is the glue's: stack
 * `o2cb`, the engine under test.
 *
 * Nothing here runs by itself. Whatever a task of the kernel would do is handed to `Kernel.run`, which
 * decides when; a task ends where the kernel's could be overtaken by another one: before a request goes
 * out, and where a process waits.
 */
import { constants } from 'node:os';

import { DLM_LKF, DLM_LOCK, DlmLksb, type LockMode } from '../../../lib/index.js';

const { EAGAIN, EBUSY, EINTR, ETXTBSY } = constants.errno;
const { NL, PR, EX } = DLM_LOCK;
/** `DLM_LOCK_IV`: no lock. */
const IV = -1;

/** What a file needs of its node. */
export interface Kernel {
  /** Lets a task run, at a moment that the scheduler chooses; `what` is equal only for equal tasks. */
  run(what: string, task: () => void): void;
  /** `ocfs2_dlm_lock`. */
  lock(file: DlmfsFile, mode: LockMode, flags: number): number;
  /** `ocfs2_dlm_unlock`. */
  unlock(file: DlmfsFile, flags: number): number;
  /** `ocfs2_dlm_lock_status`. */
  status(file: DlmfsFile): number;
  /** The value block as the node has it. */
  block(file: DlmfsFile): Uint8Array;
}

/** A process inside open(2). */
export interface Opener {
  readonly handle: number;
  readonly level: LockMode;
  readonly tries: boolean;
  /** A signal is pending. */
  isInterrupted: boolean;
  /** The result: 0 or an errno. */
  done(result: number): void;
}

/** A process on `l_event`. */
interface Sleeper {
  readonly who: string;
  /** The flag that it waits to become false. */
  readonly flag: 'busy' | 'blocked';
  readonly goOn: () => void;
}

/** `user_highest_compat_lock_level`. */
function highestCompatible(level: number): LockMode {
  if (level === EX) return NL;
  return level === PR ? PR : EX;
}

/** See the top of this file. */
export class DlmfsFile {
  readonly name: string;
  readonly lksb = new DlmLksb();
  readonly #kernel: Kernel;
  #level = IV;
  #requested = IV;
  #blocking = IV;
  #writers = 0;
  #readers = 0;
  /** `USER_LOCK_ATTACHED` and so on. */
  #isAttached = false;
  #isBusy = false;
  #isBlocked = false;
  #isInTeardown = false;
  #isQueued = false;
  #isInCancel = false;
  /** Who sleeps on `l_event`. */
  #sleepers: Sleeper[] = [];

  constructor(kernel: Kernel, name: string) {
    this.#kernel = kernel;
    this.name = name;
  }

  /** What poll(2) says. */
  get isBlocked(): boolean {
    return this.#isBlocked;
  }

  get isAttached(): boolean {
    return this.#isAttached;
  }

  /** `l_level`; -1 without a lock. */
  get level(): number {
    return this.#level;
  }

  /** All that its future depends on, tasks and the lock manager apart: equal states have equal words. */
  get state(): string {
    const flags = [
      this.#isAttached,
      this.#isBusy,
      this.#isBlocked,
      this.#isInTeardown,
      this.#isQueued,
      this.#isInCancel,
    ].map(Number);
    const numbers = [this.#level, this.#requested, this.#blocking, this.#writers, this.#readers];
    const sleepers = this.#sleepers.map(({ who, flag }) => `${who}/${flag}`).sort();
    return `${numbers.join(',')} ${flags.join('')} ${sleepers.join(',')}`;
  }

  /** `user_dlm_cluster_lock`. */
  open(opener: Opener): void {
    const { level, tries } = opener;
    const who = `h${opener.handle}`;
    const fail = (errno: number): void => {
      opener.done(tries && errno === EAGAIN ? ETXTBSY : errno);
    };
    const again = (): void => {
      if (opener.isInterrupted) {
        fail(EINTR);
        return;
      }
      if (this.#isInTeardown) {
        fail(EAGAIN);
        return;
      }
      if (this.#isBusy && level > this.#level) {
        this.#sleep({ who, flag: 'busy', goOn: again });
        return;
      }
      if (this.#isBlocked && level > highestCompatible(this.#blocking)) {
        this.#sleep({ who, flag: 'blocked', goOn: again });
        return;
      }
      if (level <= this.#level) {
        if (level === EX) this.#writers += 1;
        else this.#readers += 1;
        opener.done(0);
        return;
      }
      const convert = this.#level === IV ? 0 : DLM_LKF.CONVERT;
      this.#requested = level;
      this.#isBusy = true;
      this.#kernel.run(`${who} locks ${convert}`, () => {
        const flags = DLM_LKF.VALBLK | convert | (tries ? DLM_LKF.NOQUEUE : 0);
        const status = this.#kernel.lock(this, level, flags);
        if (status === 0) {
          this.#sleep({ who, flag: 'busy', goOn: again });
          return;
        }
        // `user_recover_from_dlm_error`, which wakes nobody.
        this.#isBusy = false;
        fail(-status);
      });
    };
    this.#kernel.run(`${who} opens`, again);
  }

  /** `user_dlm_cluster_unlock`. */
  close(level: LockMode): void {
    if (level === EX) this.#writers -= 1;
    else this.#readers -= 1;
    if (this.#isBlocked && !this.#holdsUp()) this.#queue();
  }

  /** `user_dlm_write_lvb`. */
  write(bytes: Uint8Array): void {
    this.#kernel.block(this).set(bytes);
  }

  /** `user_dlm_destroy_lock`; `done` is given 0 or an errno. */
  unlink(done: (result: number) => void): void {
    if (this.#isInTeardown) {
      done(EBUSY);
      return;
    }
    this.#isInTeardown = true;
    const goOn = (): void => {
      if (this.#isBusy) {
        this.#sleep({ who: 'unlink', flag: 'busy', goOn });
        return;
      }
      if (this.#readers > 0 || this.#writers > 0) {
        this.#isInTeardown = false;
        done(EBUSY);
        return;
      }
      if (!this.#isAttached) {
        done(0);
        return;
      }
      this.#isBusy = true;
      const status = this.#kernel.unlock(this, DLM_LKF.VALBLK);
      if (status !== 0) {
        this.#isInTeardown = false;
        this.#isBusy = false;
        done(-status);
        return;
      }
      this.#sleep({ who: 'unlinked', flag: 'busy', goOn: () => done(0) });
    };
    goOn();
  }

  /** `user_ast`. */
  lockAst(): void {
    if (this.#kernel.status(this) !== 0) return;
    if (
      this.#requested < this.#level &&
      this.#requested <= highestCompatible(this.#blocking) // a downconversion is done
    ) {
      this.#blocking = NL;
      this.#isBlocked = false;
    }
    this.#level = this.#requested;
    this.#requested = IV;
    this.#isAttached = true;
    this.#isBusy = false;
    this.#wake();
  }

  /** `user_bast`. */
  blockingAst(level: LockMode): void {
    this.#isBlocked = true;
    if (level > this.#blocking) this.#blocking = level;
    this.#queue();
    this.#wake();
  }

  /** `user_unlock_ast`. A cancel that came too late does not get here: the stack keeps it. */
  unlockAst(): void {
    if (this.#isInTeardown && !this.#isInCancel) {
      this.#level = IV;
    } else {
      this.#requested = IV;
      this.#isInCancel = false;
      if (this.#isBlocked) this.#queue();
    }
    this.#isBusy = false;
    this.#wake();
  }

  /** Whether what is open here is in the way of who waits. */
  #holdsUp(): boolean {
    if (this.#blocking === EX) return this.#writers > 0 || this.#readers > 0;
    return this.#writers > 0;
  }

  /** `__user_dlm_queue_lockres`. */
  #queue(): void {
    if (this.#isQueued) return;
    this.#isQueued = true;
    this.#kernel.run('unblock', () => this.#unblock());
  }

  /** `user_dlm_unblock_lock`. */
  #unblock(): void {
    this.#isQueued = false;
    if (!this.#isBlocked || this.#isInTeardown) return;
    if (this.#isBusy) {
      if (this.#isInCancel) return;
      this.#isInCancel = true;
      this.#kernel.run('cancel', () => this.#kernel.unlock(this, DLM_LKF.CANCEL));
      return;
    }
    if (this.#holdsUp()) return;
    const level = highestCompatible(this.#blocking);
    this.#requested = level;
    this.#isBusy = true;
    this.#kernel.run(`down to ${level}`, () => {
      if (this.#kernel.lock(this, level, DLM_LKF.CONVERT | DLM_LKF.VALBLK) !== 0) {
        this.#isBusy = false;
      }
    });
  }

  /** `wait_event`: goes on at once if nothing holds it up, and else when it is woken and nothing does. */
  #sleep(sleeper: Sleeper): void {
    const isHeldUp = sleeper.flag === 'busy' ? this.#isBusy : this.#isBlocked;
    if (isHeldUp) this.#sleepers.push(sleeper);
    else sleeper.goOn();
  }

  #wake(): void {
    const woken = this.#sleepers;
    this.#sleepers = [];
    for (const sleeper of woken) {
      this.#kernel.run(`${sleeper.who}/${sleeper.flag} woken`, () => this.#sleep(sleeper));
    }
  }
}
