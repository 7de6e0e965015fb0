/**
 * What the kernel may do where it is free to choose: README.md, "Choices". Each choice names the
 * function of the kernel that leaves it open.
 */
import { constants } from 'node:os';

import { DLM_LKF } from '../../../lib/glue.js';
import type { WireEvent } from './agent.js';
import type { History } from './batch.js';
import { callbackCovers, type CallbackRules } from './callbacks.js';
import { NODES, resourcesOfLocks } from './program.js';
import type { Command, Death, Program, Step } from './program.js';

/** The steps of a program in which two commands race. */
export function racesOf(program: Program): number[] {
  return program.steps.flatMap((step, index) => (step.length > 1 ? [index] : []));
}

/**
 * The ways in which the commands of a race may be served. Two commands of two nodes reach the master
 * over two connections, or one of them by none (fs/dlm/lock.c:send_common(), lowcomms.c): either may be
 * the first. And the processes may have read what the first led to when the second is served, or not:
 * what is unread keeps a lock that has ended, and so its resource and the value block
 * (user.c:device_read(), lock.c:toss_rsb()).
 */
export function waysOfRace(program: Program, step: number): Program[] {
  const reversed = program.steps.map((commands, index) =>
    index === step ? [...commands].reverse() : commands,
  );
  const paused = new Set([...(program.paused ?? []), step]);
  return [
    program,
    { ...program, steps: reversed },
    { ...program, paused },
    { ...program, steps: reversed, paused },
  ];
}

/** Its steps before this one. */
export function before(program: Program, step: number): Program {
  return { ...program, steps: program.steps.slice(0, step) };
}

/**
 * Which survivor becomes the master of what a dead node was master of: the one whose lookup reaches
 * the resource's directory node first (fs/dlm/recover.c:recover_master(), dlm_master_lookup()). Orders
 * of nodes in which the engine, which takes the first, chooses each.
 */
export function masterOrders(death: Death | undefined): number[][] {
  const identity = Array.from({ length: NODES }, (_, index) => index + 1);
  return death === undefined ? [identity] : [identity, [...identity].reverse()];
}

/** Whether a call was answered, refused, and no callback had anything to say. */
function isAnswer([, kind, value]: WireEvent): boolean {
  const { EINVAL, EBUSY } = constants.errno;
  return kind === 'r' || (kind !== 'b' && (value === -EINVAL || value === -EBUSY));
}

/**
 * Kernel 6.12 compares a blocking AST with the lock's last callback even when the process has read
 * that (dlm_may_skip_callback()); 6.1, and the engine, only while it is unread
 * (dlm_add_lkb_callback()). So on 6.12 the engine's later ones are not there.
 */
function skipCovered(
  maps: readonly (ReadonlyMap<number, WireEvent[]> | undefined)[],
): (ReadonlyMap<number, WireEvent[]> | undefined)[] {
  const last = new Map<number, WireEvent>();
  return maps.map((map) => {
    if (map === undefined) return undefined;
    const kept = new Map<number, WireEvent[]>();
    for (const [lock, events] of map) {
      const rest = events.filter((event) => {
        if (isAnswer(event)) return true;
        const before = last.get(lock);
        if (event[1] === 'b' && before?.[1] === 'b' && callbackCovers(before[2], event[2]))
          return false;
        last.set(lock, event);
        return true;
      });
      if (rest.length > 0) kept.set(lock, rest);
    }
    return kept;
  });
}

/**
 * Whether two requests reach the master, so that whoever both of them tell may have read what the first
 * said, or not: fs/dlm/ast.c:dlm_add_lkb_callback() adds a blocking AST that is covered by the one before
 * it only if that was read. An unlock may begin with a conversion (native/user/lock_book.h), and a new
 * lock with NOQUEUE goes by steps (native/user/lock_book_try.cc).
 */
function hasTwoRequests(step: Step | undefined): boolean {
  if (step === undefined) return false;
  const takesSeveral = ({ do: what, flags }: Command): boolean =>
    what === 'unlock' || (what === 'lock' && (flags & DLM_LKF.NOQUEUE) !== 0);
  return step.length > 1 || step.some(takesSeveral);
}

/** Without blocking ASTs that are right behind one that covers them. */
function coalesced(map: ReadonlyMap<number, WireEvent[]>): Map<number, WireEvent[]> {
  return new Map(
    [...map].map(([lock, events]) => {
      const kept: WireEvent[] = [];
      for (const event of events) {
        const before = kept.at(-1);
        const isCovered =
          event[1] === 'b' && before?.[1] === 'b' && callbackCovers(before[2], event[2]);
        if (!isCovered) kept.push(event);
      }
      return [lock, kept];
    }),
  );
}

function lineOf(
  map: ReadonlyMap<number, WireEvent[]> | undefined,
  locks: readonly number[],
): string {
  if (map === undefined) return '';
  return locks
    .flatMap((lock) => {
      const events = map.get(lock);
      return events === undefined
        ? []
        : [`${lock}: ${events.map((event) => event.slice(1).join(' ')).join(', ')}`];
    })
    .join('; ');
}

/** What the locks on each resource were told, a line for each step, ready to be compared. */
export function linesByResource(
  program: Program,
  history: History,
  rules: CallbackRules,
): Map<number, string[]> {
  const locksOf = new Map<number, number[]>();
  for (const [lock, resource] of resourcesOfLocks(program)) {
    const locks = locksOf.get(resource);
    if (locks === undefined) locksOf.set(resource, [lock]);
    else locks.push(lock);
  }
  for (const locks of locksOf.values()) locks.sort((a, b) => a - b);
  const at = program.death?.step;
  const flat = history.steps.flatMap((told, step) => {
    const map = hasTwoRequests(program.steps[step]) ? coalesced(told) : told;
    return step === at ? [history.afterDeath, map] : [undefined, map];
  });
  const maps = rules === '6.12' ? skipCovered(flat) : flat;
  return new Map(
    [...locksOf].map(([resource, locks]) => [
      resource,
      maps.slice(0, 2 * program.steps.length).map((map) => lineOf(map, locks)),
    ]),
  );
}

/** The same of a program that is about one resource. */
export function linesOf(program: Program, history: History, rules: CallbackRules): string[] {
  const [lines] = linesByResource(program, history, rules).values();
  return lines ?? Array.from({ length: 2 * program.steps.length }, () => '');
}

export function firstDifference(a: readonly string[], b: readonly string[]): number {
  const length = Math.max(a.length, b.length);
  for (let at = 0; at < length; at++) if (a[at] !== b[at]) return at;
  return -1;
}
