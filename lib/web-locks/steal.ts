/**
 * `steal`. A lock manager takes nothing away from who has it, so the holder gives way. README.md has the protocol, and
 * why nobody is robbed but those who have the lock when it is stolen.
 */
import type { Lock, Lockspace } from '../locks/index.js';
import { lockName } from './names.js';

/** A conversion on `o2cb` has to have a limit. This one is never reached: conversions from `NL` are in nobody's way. */
const UNLIMITED = { signal: new AbortController().signal };

/** Gives a lock up that nobody waits for. If it is lost, it is gone, too. */
export function giveUp(lock: Lock): void {
  lock.release().catch(() => undefined);
}

/**
 * Takes the lock before all who wait for it, from whoever has it. `onQueued`: it is next in the whole cluster, so what
 * this process has of it can be given up. Waits for those who have it until they have heard.
 */
export async function takeAway(ls: Lockspace, name: string, onQueued: () => void): Promise<Lock> {
  // One at a time, so that one demand is not in the way of another.
  const turn = await ls.lock(lockName(name, 'turn'), 'EX');
  try {
    // Conversions are granted before new requests.
    const lock = await ls.pin(lockName(name));
    const granted = lock.convert('EX', UNLIMITED);
    await isServed(ls, name);
    onQueued();
    await demand(ls, name, granted);
    return lock;
  } finally {
    giveUp(turn);
  }
}

/** Resolves when the lock manager has seen what was asked for before, on that name, by this lockspace. */
export async function isServed(ls: Lockspace, name: string): Promise<void> {
  giveUp(await ls.pin(lockName(name)));
}

/** Has holders know that somebody steals, one after the other, until the lock is `granted`. */
async function demand(ls: Lockspace, name: string, granted: Promise<void>): Promise<void> {
  const over = granted.then(() => 'granted' as const);
  // Also if the demand itself fails first.
  over.catch(() => undefined);
  // Who is granted it at once has been told of that by now.
  let seen: 'granted' | 'waits' | 'looked' = await Promise.race([
    over,
    Promise.resolve('waits' as const),
  ]);
  while (seen !== 'granted') {
    const mark = await ls.lock(lockName(name, 'demand'), 'EX');
    // A holder that has just learnt that it is in the way looks: it is let in, and asked again.
    const looked = new Promise<'looked'>((resolve) => {
      mark.onBlocked = () => resolve('looked');
    });
    seen = await Promise.race([over, looked]);
    // Before the callback is called: who has the lock next must not find it.
    await mark.release();
  }
}

/** What a holder has that is in somebody's way: it hears of a demand. */
export class DemandWatch {
  readonly #ending = new AbortController();
  #place: Lock | undefined;

  constructor(ls: Lockspace, name: string, onDemand: () => void) {
    // It fails when it is ended, or with the lockspace.
    this.#begin(ls, name, onDemand).catch(() => undefined);
  }

  /** Nothing is held any more that could be stolen. */
  end(): void {
    this.#ending.abort();
    if (this.#place !== undefined) giveUp(this.#place);
  }

  async #begin(ls: Lockspace, name: string, onDemand: () => void): Promise<void> {
    const { signal } = this.#ending;
    const place = await ls.lock(lockName(name, 'demand'), 'PR', { signal });
    if (signal.aborted) {
      giveUp(place);
      return;
    }
    this.#place = place;
    place.onBlocked = onDemand;
  }
}
