/**
 * What crowd-reference.c does, in JavaScript on stack `user`, by the glue's public calls. It takes the
 * lines of that program, but for `bar` and `keep`, and two more:
 *
 *     watch NAME   lock in EX and unlock, again and again, until the next line -> {"watching":true}
 *     stop         -> {"operations":N,"longest":S}: the longest lock and unlock among these
 *
 * Arguments: the lockspace's name, and the options of `createUserPlugin` as JSON.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';

import { DLM_LKF, DLM_LOCK, DlmLksb, type LockMode } from '../../lib/glue.js';
import { connection, expectAccepted, expectGranted, glue, serve, type Asker } from './service.js';

/** How often the loop is looked at, in milliseconds; the least that can be told. */
const RESOLUTION_MS = 1;

const { NL, EX } = DLM_LOCK;
const { CANCEL, EXPEDITE, FORCEUNLOCK } = DLM_LKF;

/** A lock whose next event is awaited. */
class Slot implements Asker {
  readonly lksb = new DlmLksb();
  /** Called by the next event. */
  told: () => void = () => undefined;

  granted(): void {
    this.told();
  }

  unlocked(): void {
    this.told();
  }

  /** Resolves to its status once it has completed. */
  async request(name: string, mode: LockMode, flags = 0): Promise<void> {
    const completed = this.next();
    this.ask(name, mode, flags);
    await completed;
    expectGranted(this.lksb);
  }

  ask(name: string, mode: LockMode, flags = 0): void {
    expectAccepted(glue.dlmLock(connection, mode, this.lksb, flags, name, this));
  }

  /** An unlock, or a cancel. */
  async unlock(flags = 0): Promise<void> {
    const ended = this.next();
    expectAccepted(glue.dlmUnlock(connection, this.lksb, flags));
    await ended;
  }

  next(): Promise<void> {
    return new Promise((resolve) => (this.told = resolve));
  }
}

let crowd: Slot[] = [];

async function gather(name: string, count: number): Promise<object> {
  crowd = Array.from({ length: count }, () => new Slot());
  for (const slot of crowd) slot.ask(name, EX);
  // The master takes requests in their order, and grants this one whatever waits.
  const marker = new Slot();
  await marker.request(name, NL, EXPEDITE);
  await marker.unlock();
  return { waiting: count };
}

async function leave(flags: number): Promise<object> {
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delay.enable();
  const start = performance.now();
  let left = crowd.length;
  await new Promise<void>((resolve) => {
    for (const slot of crowd) {
      slot.told = () => {
        left -= 1;
        if (left === 0) resolve();
      };
      expectAccepted(glue.dlmUnlock(connection, slot.lksb, flags));
    }
  });
  const seconds = (performance.now() - start) / 1000;
  // The loop's last turn counts, too.
  await new Promise((resolve) => setTimeout(resolve, 2 * RESOLUTION_MS));
  delay.disable();
  return { operations: crowd.length, seconds, longest: delay.max / 1e9 };
}

interface Watch {
  isOver: boolean;
  operations: number;
  longest: number;
}
let watch: Watch = { isOver: true, operations: 0, longest: 0 };
let watched = Promise.resolve();

async function lockAgainAndAgain(name: string, mine: Watch): Promise<void> {
  const slot = new Slot();
  while (!mine.isOver) {
    const start = performance.now();
    await slot.request(name, EX);
    await slot.unlock();
    mine.longest = Math.max(mine.longest, (performance.now() - start) / 1000);
    mine.operations += 1;
  }
}

async function execute([command, name = '', count = '']: string[]): Promise<object> {
  switch (command) {
    case 'gather':
      return gather(name, Number(count));
    case 'cancel':
      return leave(CANCEL);
    case 'force':
      return leave(FORCEUNLOCK);
    case 'watch':
      watch = { isOver: false, operations: 0, longest: 0 };
      watched = lockAgainAndAgain(name, watch);
      return { watching: true };
    case 'stop':
      watch.isOver = true;
      await watched;
      return { operations: watch.operations, longest: watch.longest };
    default:
      throw new Error(`not a command: ${command ?? ''}`);
  }
}

await serve(execute);
