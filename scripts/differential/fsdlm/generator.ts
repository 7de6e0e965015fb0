/**
 * Random sequences. Each command is chosen knowing what the locks have been told so far, so that most
 * of them make sense; some are chosen without, because refusals must agree too.
 */
import { DLM_LKF, DLM_LOCK } from '../../../lib/glue.js';
import type { Random } from '../../random.js';
import { LOCKS_MAX, NODES, RESOURCES_MAX, type Command, type Step } from './program.js';
import type { TrackedLock, Tracker } from './tracker.js';

const L = DLM_LKF;
const MODES = Object.values(DLM_LOCK);

/** Steps in which two nodes race for a resource: how many of them, and how many for one resource. */
const RACE_SHARE = 0.2;
const RACES_PER_RESOURCE = 3;

/** Flags by how often they are set. */
type Odds = readonly (readonly [flag: number, probability: number])[];

const LOCK_ODDS: Odds = [
  [L.VALBLK, 0.5],
  [L.NOQUEUE, 0.15],
  [L.NOQUEUEBAST, 0.1],
  [L.HEADQUE, 0.08],
  [L.NOORDER, 0.08],
  [L.PERSISTENT, 0.05],
  [L.ALTPR, 0.07],
  [L.ALTCW, 0.05],
  [L.NODLCKWT, 0.05],
  [L.NODLCKBLK, 0.02],
  [L.EXPEDITE, 0.02],
  [L.IVVALBLK, 0.03],
  // Refused, or without effect.
  [L.QUECVT, 0.01],
  [L.CONVDEADLK, 0.01],
  [L.CANCEL, 0.005],
  [L.FORCEUNLOCK, 0.005],
];

const CONVERT_ODDS: Odds = [
  [L.VALBLK, 0.55],
  [L.NOQUEUE, 0.12],
  [L.NOQUEUEBAST, 0.1],
  [L.CONVDEADLK, 0.15],
  [L.QUECVT, 0.1],
  [L.HEADQUE, 0.06],
  [L.NOORDER, 0.06],
  [L.IVVALBLK, 0.06],
  [L.PERSISTENT, 0.05],
  [L.NODLCKWT, 0.05],
  [L.NODLCKBLK, 0.02],
  // Refused, or without effect.
  [L.ALTPR, 0.01],
  [L.ALTCW, 0.01],
  [L.EXPEDITE, 0.01],
  [L.CANCEL, 0.005],
  [L.FORCEUNLOCK, 0.01],
];

const UNLOCK_ODDS: Odds = [
  [L.VALBLK, 0.5],
  [L.IVVALBLK, 0.08],
  [L.FORCEUNLOCK, 0.08],
  // Refused.
  [L.NOQUEUE, 0.005],
];

/** Whether a command ends its lock, or does not, as others were served before it or not. */
function mayEnd(command: Command): boolean {
  return command.do === 'unlock' || (command.do === 'lock' && (command.flags & L.NOQUEUE) !== 0);
}

/**
 * Whether stack `user` makes several requests of it one after the other. Between them others are served,
 * so in a race it would have more ways than two.
 */
function hasSteps(command: Command): boolean {
  return command.do === 'lock' && (command.flags & (L.NOQUEUE | L.ORPHAN)) === L.NOQUEUE;
}

/** Makes a sequence's steps one after the other. */
export class Generator {
  readonly #random: Random;
  readonly #tracker: Tracker;
  readonly #busy: number;
  readonly #alive = new Set(Array.from({ length: NODES }, (_, index) => index + 1));
  readonly #races = new Map<number, number>();
  /** Locks that the outcome of a race may have ended, or not. */
  readonly #doubtful = new Set<number>();
  /** The resource that each of a few places stands for. */
  readonly #places: number[];
  #names: number;
  /** The node of a resource's first lock is its master; undefined after its death. */
  readonly #masters = new Map<number, number | undefined>();
  #locks = 0;
  #writes = 0;

  constructor(random: Random, tracker: Tracker) {
    this.#random = random;
    this.#tracker = tracker;
    // Few resources make much contention on each.
    this.#names = 1 + Math.min(random.below(RESOURCES_MAX), random.below(RESOURCES_MAX));
    this.#places = Array.from({ length: this.#names }, (_, place) => place);
    // How many locks a resource has before most commands are unlocks.
    this.#busy = 3 + random.below(5);
  }

  die(node: number): void {
    this.#alive.delete(node);
    const used = new Set(this.#tracker.locks.map(({ resource }) => resource));
    this.#tracker.forget(node);
    for (const [resource, master] of this.#masters) {
      // fs/dlm/recoverd.c:ls_recover() forgets resources without locks, and their masters with them,
      // before it removes the dead node's locks.
      const isLeft = this.#tracker.on(resource).length > 0;
      const isForgotten = !used.has(resource) || (master === node && !isLeft);
      const isDoubtful = this.#races.has(resource) && this.#isGivenUp(resource);
      if (isForgotten && !isDoubtful) this.#masters.delete(resource);
      else if (master === node || isDoubtful) this.#masters.set(resource, undefined);
    }
  }

  step(): Step {
    const random = this.#random;
    const node = random.pick([...this.#alive]);
    const resource = this.#resource(node);
    const races = this.#races.get(resource) ?? 0;
    // The first lockers of a name do not race: who becomes its master would be as open as how long
    // the loser asks in vain (fs/dlm/lock.c:receive_request_reply(), -ENOTBLK and -EBADR).
    // Nor do those that give a name up and take it again: it would be another's.
    const isRace =
      this.#masters.has(resource) &&
      this.#tracker.on(resource).length > 1 &&
      races < RACES_PER_RESOURCE &&
      random.chance(RACE_SHARE);
    const first = this.#command(node, resource);
    const commands = [first];
    if (isRace && !hasSteps(first)) {
      const other = random.pick([...this.#alive].filter((each) => each !== node));
      const second = this.#command(other, resource);
      commands.push(hasSteps(second) ? { ...second, flags: second.flags & ~L.NOQUEUE } : second);
      this.#races.set(resource, races + 1);
    }
    for (const command of commands) {
      this.#tracker.give(command);
      if (this.#races.has(resource) && mayEnd(command)) this.#doubtful.add(command.lock);
    }
    if (!this.#masters.has(resource)) this.#masters.set(resource, node);
    return commands;
  }

  /** Whether there may be no lock on it, whatever the outcome of races. */
  #isGivenUp(resource: number): boolean {
    return this.#tracker.on(resource).every(({ lock }) => this.#doubtful.has(lock));
  }

  /**
   * A name that was given up is used again only by the node that is its master: the kernel remembers
   * that (the tossed rsb), the engine does not.
   */
  #resource(node: number): number {
    const place = this.#random.below(this.#places.length);
    const resource = this.#places[place] ?? 0;
    const isGivenUp = this.#masters.has(resource) && this.#isGivenUp(resource);
    if (!isGivenUp || this.#masters.get(resource) === node) return resource;
    this.#places[place] = this.#names;
    return this.#names++;
  }

  #command(node: number, resource: number): Command {
    const random = this.#random;
    const locks = this.#tracker.on(resource);
    const own = locks.filter((lock) => lock.node === node);
    const idle = own.filter((lock) => lock.pending === undefined);
    const sure = idle.filter((lock) => !lock.isUnsure);
    const waiting = own.filter(({ pending }) => pending !== undefined);
    const isFull = locks.length >= this.#busy || this.#locks >= LOCKS_MAX;
    const roll = random.next();
    if (own.length > 0 && roll < 0.03) return this.#anything(random.pick(own));
    if (waiting.length > 0 && roll < (isFull ? 0.35 : 0.2)) return this.#end(random.pick(waiting));
    if (sure.length > 0 && roll < 0.55) return this.#convert(random.pick(sure));
    if (idle.length > 0 && roll < (isFull ? 1 : 0.72)) return this.#unlock(random.pick(idle));
    if (isFull && waiting.length > 0) return this.#end(random.pick(waiting));
    return this.#lock(node, resource);
  }

  #flags(odds: Odds): number {
    return odds.reduce((all, [flag, odd]) => (this.#random.chance(odd) ? all | flag : all), 0);
  }

  #lock(node: number, resource: number): Command {
    const lock = this.#locks++;
    let flags = this.#flags(LOCK_ODDS);
    let mode: number = this.#random.pick(MODES);
    if ((flags & L.EXPEDITE) !== 0 && this.#random.chance(0.9)) {
      mode = DLM_LOCK.NL;
      flags &= ~L.NOQUEUE;
    }
    return { do: 'lock', node, lock, resource, mode, flags };
  }

  #convert({ node, lock }: TrackedLock): Command {
    const mode = this.#random.pick(MODES);
    let flags = this.#flags(CONVERT_ODDS);
    if ((flags & L.CONVDEADLK) !== 0 && this.#random.chance(0.95)) flags &= ~L.NOQUEUE;
    return { do: 'convert', node, lock, mode, flags, ...this.#write() };
  }

  #unlock({ node, lock }: TrackedLock): Command {
    return { do: 'unlock', node, lock, flags: this.#flags(UNLOCK_ODDS), ...this.#write() };
  }

  /** A cancel, or an unlock of what waits. */
  #end({ node, lock }: TrackedLock): Command {
    const flags = this.#random.chance(0.75) ? L.CANCEL : L.FORCEUNLOCK;
    return { do: 'unlock', node, lock, flags };
  }

  #anything(lock: TrackedLock): Command {
    const roll = this.#random.next();
    if (roll < 0.4 && !lock.isUnsure) return this.#convert(lock);
    if (roll < 0.7) return this.#unlock(lock);
    return this.#end(lock);
  }

  /** A value that no other command writes. */
  #write(): { lvb?: string } {
    if (this.#random.chance(0.3)) return {};
    this.#writes += 1;
    return { lvb: `v${this.#writes}` };
  }
}
