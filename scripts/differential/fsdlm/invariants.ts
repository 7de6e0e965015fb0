/**
 * What must hold after every step whoever serves the locks, checked from what their programs see: on the
 * kernel as on the engine.
 *
 * 1. The modes held on a resource go together.
 * 2. Not all that wait could be granted: of the conversions that wait, or of the new requests if there
 *    are none, one at least is in conflict with what is held. (Which of them is the first, only the
 *    master knows.)
 * 3. Every request ends in one completion, its refusal, or the unlock AST of what ended it; nothing is
 *    told to a lock that has ended, and no blocking AST to one that holds nothing.
 */
import { DLM_LKF, DLM_LOCK, DLM_SBF } from '../../../lib/glue.js';
import type { WireEvent } from './agent.js';
import type { History } from './batch.js';
import { goesWith } from './modes.js';
import { resourcesOfLocks, type Command, type Program } from './program.js';

interface Held {
  readonly node: number;
  readonly resource: number;
  /** Undefined: not granted yet. */
  mode: number | undefined;
  /** What waits for its completion. */
  request: Command | undefined;
  /** A conversion that was asked for meanwhile. */
  next?: Command | undefined;
  /** It may have been demoted without a word: README.md, "Kept out". */
  isUnsure: boolean;
}

const modeOf = (request: Command | undefined): number =>
  request === undefined || request.do === 'unlock' ? DLM_LOCK.NL : request.mode;

class Invariants {
  readonly #locks = new Map<number, Held>();
  readonly #of: ReadonlyMap<number, number>;
  readonly #broken: string[] = [];
  #step = 0;

  constructor(program: Program) {
    this.#of = resourcesOfLocks(program);
  }

  get broken(): readonly string[] {
    return this.#broken;
  }

  #fail(what: string): void {
    this.#broken.push(`step ${this.#step}: ${what}`);
  }

  begin(step: number): void {
    this.#step = step;
  }

  die(node: number): void {
    for (const [number, { node: of }] of this.#locks) if (of === node) this.#locks.delete(number);
  }

  give(command: Command): void {
    const { lock: number, node } = command;
    if (command.do === 'lock') {
      const resource = this.#of.get(number) ?? -1;
      this.#locks.set(number, {
        node,
        resource,
        mode: undefined,
        request: command,
        isUnsure: false,
      });
    } else if (command.do === 'convert') {
      const lock = this.#locks.get(number);
      if (lock === undefined) return;
      // Behind another it is refused, unless that ends first: the two may race.
      if (lock.request === undefined) lock.request = command;
      else lock.next = command;
    }
  }

  see(number: number, events: readonly WireEvent[], command: Command | undefined): void {
    for (const event of events) this.#seeOne(number, event, command);
  }

  #seeOne(number: number, [, kind, value, flags = 0]: WireEvent, command?: Command): void {
    const lock = this.#locks.get(number);
    if (lock === undefined) {
      // A call on a lock that has ended is refused, or answered at once.
      if (kind === 'c' || kind === 'b') this.#fail(`lock ${number} has ended and is told ${kind}`);
      return;
    }
    switch (kind) {
      case 'b':
        if (lock.mode === undefined) this.#fail(`lock ${number} holds nothing and blocks ${value}`);
        return;
      case 'u':
        if (value === 0) this.#locks.delete(number);
        return;
      case 'x':
        if (value === 0 && lock.request !== undefined) this.#endRequest(number, lock, flags);
        return;
      case 'r':
        // Of what was given now, if nothing was under way before.
        if (lock.request === command) this.#endRequest(number, lock, 0);
        lock.next = undefined;
        return;
      default:
        this.#complete(number, lock, value, flags);
    }
  }

  #complete(number: number, lock: Held, status: number, flags: number): void {
    const { request } = lock;
    if (request === undefined) {
      this.#fail(`lock ${number} has a completion and no request`);
      return;
    }
    if (status !== 0) {
      this.#endRequest(number, lock, flags);
      return;
    }
    const other = (request.flags & DLM_LKF.ALTPR) !== 0 ? DLM_LOCK.PR : DLM_LOCK.CW;
    lock.mode = (flags & DLM_SBF.ALTMODE) !== 0 ? other : modeOf(request);
    lock.isUnsure = false;
    this.#goOn(lock);
  }

  #endRequest(number: number, lock: Held, flags: number): void {
    if ((flags & DLM_SBF.DEMOTED) !== 0) lock.mode = DLM_LOCK.NL;
    else if (((lock.request?.flags ?? 0) & DLM_LKF.CONVDEADLK) !== 0) lock.isUnsure = true;
    this.#goOn(lock);
    if (lock.mode === undefined) this.#locks.delete(number);
  }

  #goOn(lock: Held): void {
    lock.request = lock.next;
    lock.next = undefined;
  }

  /** After each step. */
  check(): void {
    const locks = [...this.#locks.values()];
    for (const resource of new Set(locks.map((lock) => lock.resource))) {
      this.#checkResource(
        resource,
        locks.filter((lock) => lock.resource === resource),
      );
    }
  }

  #checkResource(resource: number, locks: readonly Held[]): void {
    const isKnown = (lock: Held): boolean =>
      !lock.isUnsure && ((lock.request?.flags ?? 0) & DLM_LKF.CONVDEADLK) === 0;
    const held = locks.filter((lock) => lock.mode !== undefined);
    const modes = held.filter(isKnown).map(({ mode = 0 }) => mode);
    modes.forEach((mode, index) => {
      for (const other of modes.slice(0, index)) {
        if (!goesWith(mode, other)) {
          this.#fail(`modes ${other} and ${mode} are held on resource ${resource}`);
        }
      }
    });
    const waiting = locks.filter(({ request }) => request !== undefined);
    // A lock that HEADQUE brings to the head is not tried there, and what others hold is not known.
    const isOpen = waiting.some(({ request }) => ((request?.flags ?? 0) & DLM_LKF.HEADQUE) !== 0);
    if (waiting.length === 0 || isOpen || !held.every(isKnown)) return;
    const conversions = waiting.filter(({ mode }) => mode !== undefined);
    const first = conversions.length > 0 ? conversions : waiting;
    const isBlocked = first.some((lock) =>
      held.some((other) => other !== lock && !goesWith(other.mode ?? 0, modeOf(lock.request))),
    );
    if (!isBlocked) this.#fail(`what waits on resource ${resource} could be granted`);
  }
}

/** What of it did not hold, by step. */
export function brokenInvariants(program: Program, history: History): readonly string[] {
  const invariants = new Invariants(program);
  program.steps.forEach((step, index) => {
    invariants.begin(index);
    const { death } = program;
    if (death?.step === index) {
      invariants.die(death.node);
      for (const [lock, events] of history.afterDeath ?? []) {
        invariants.see(lock, events, undefined);
      }
      invariants.check();
    }
    const given = step.filter(({ node }) => !(node === death?.node && index >= death.step));
    for (const command of given) invariants.give(command);
    for (const [lock, events] of history.steps[index] ?? []) {
      invariants.see(
        lock,
        events,
        given.find((command) => command.lock === lock),
      );
    }
    invariants.check();
  });
  return invariants.broken;
}
