/**
 * Messages that cross on their way, which the engine does not have: its calls are answered when they
 * return.
 *
 * A node that is not the master does not wait for the answer to a conversion down: the process has its
 * completion at once (fs/dlm/lock.c:send_convert(), down_conversion()). What a racing request had the
 * master tell that lock, before the conversion reached it, then comes behind the completion; and is
 * dropped if it is compatible with the new mode (fs/dlm/ast.c:dlm_rem_lkb_callback(), 6.12:
 * dlm_may_skip_callback()). An unlock that has to write or not to write the value block begins with
 * such a conversion (native/user/lock_book.h), and nothing is told to a lock that is being unlocked.
 */
import { DLM_LKF, DLM_LOCK } from '../../../lib/glue.js';
import type { WireEvent } from './agent.js';
import { at, type History } from './batch.js';
import { goesWith } from './modes.js';
import { resourcesOfLocks, type Command, type Program } from './program.js';
import { Tracker } from './tracker.js';

/** Neither up nor between CW and PR. */
function isDown(from: number, to: number): boolean {
  const { CW, PR } = DLM_LOCK;
  return to < from && !(from === PR && to === CW);
}

/** What else a lock may have been told in a step in which it was given this command. */
function alternatives(
  command: Command,
  mode: number | undefined,
  events: readonly WireEvent[],
): WireEvent[][] {
  if (mode === undefined || (command.flags & DLM_LKF.CANCEL) !== 0) return [];
  // Refused: what the lock was told is of something before.
  if (events.some(([, kind]) => kind === 'r')) return [];
  if (command.do === 'unlock') {
    const rest = events.filter(([, kind]) => kind !== 'b');
    return mode >= DLM_LOCK.PW && rest.length < events.length ? [rest] : [];
  }
  if (command.do !== 'convert' || !isDown(mode, command.mode)) return [];
  const cast = events.findIndex(([, kind, status]) => kind === 'c' && status === 0);
  const completion = events[cast];
  if (completion === undefined || cast === 0) return [];
  const late = events.slice(0, cast).filter(([, , level]) => !goesWith(level, command.mode));
  return [[completion, ...late, ...events.slice(cast + 1)]];
}

/**
 * A grant that comes when its lock is already being unlocked. An unlock brings the lock's own value of
 * the block (fs/dlm/lock.c:dlm_user_unlock()), in the engine after the grant; from another node the grant
 * brings the resource's after that (receive_grant()), and 6.12 keeps what the grant brought
 * (dlm_user_add_ast()). It is something that was written before. Or nothing is read, and the lock's own
 * stays: the unlock, by force, had been asked for and was about to be put (native/user/lock_book.h,
 * invariant 3).
 */
function valuesAtGrant(
  events: readonly WireEvent[],
  written: readonly string[],
  own: string,
): WireEvent[][] {
  const cast = events.findIndex(([, kind, status]) => kind === 'c' && status === 0);
  const end = events.findIndex(([, kind]) => kind === 'u');
  const completion = events[cast];
  if (completion === undefined || end < cast) return [];
  const [lock, kind, value, flags = 0] = completion;
  return [...written, own].map((lvb) => events.with(cast, [lock, kind, value, flags, lvb]));
}

/** The value block that a lock's program has when a step's commands have been given. */
function ownBlock(program: Program, history: History, step: number, lock: number): string {
  let block = '';
  for (let index = 0; index <= step; index++) {
    for (const command of at(program.steps, index)) {
      if (command.lock === lock && command.do !== 'lock') block = command.lvb ?? block;
    }
    const told = index < step ? (at(history.steps, index).get(lock) ?? []) : [];
    for (const [, kind, , , lvb] of told) if (kind === 'c') block = lvb ?? block;
  }
  return block;
}

/** What commands before a step, and in it, may have written. */
function writtenBefore(program: Program, step: number): string[] {
  const commands = program.steps.slice(0, step + 1).flat();
  const values = commands.flatMap((each) =>
    each.do !== 'lock' && each.lvb !== undefined ? [each.lvb] : [],
  );
  return [...new Set(values)];
}

/** The history, and what else it may have been. */
export function withCrossings(program: Program, history: History): History[] {
  const tracker = new Tracker();
  const of = resourcesOfLocks(program);
  const masters = new Map<number, number>();
  let all: History[] = [history];
  program.steps.forEach((step, index) => {
    if (program.death?.step === index) {
      for (const [lock, events] of history.afterDeath ?? []) {
        for (const event of events) tracker.see(lock, event);
      }
      tracker.forget(program.death.node);
      masters.clear();
    }
    const told = at(history.steps, index);
    for (const [lock, events] of step.length < 2 ? [] : told) {
      const ways = [events];
      const command = step.find((each) => each.lock === lock);
      const isMaster = command && masters.get(of.get(lock) ?? -1) === command.node;
      if (command !== undefined && isMaster !== true) {
        const { mode } = tracker.locks.find((each) => each.lock === lock) ?? {};
        ways.push(...alternatives(command, mode, events));
      }
      if (command?.do === 'unlock') {
        const own = ownBlock(program, history, index, lock);
        ways.push(...valuesAtGrant(events, writtenBefore(program, index), own));
      }
      if (ways.length === 1) continue;
      all = all.flatMap((before) =>
        ways.map((way) => {
          const steps = [...before.steps];
          steps[index] = new Map([...at(steps, index), [lock, way]]);
          return { ...before, steps };
        }),
      );
    }
    for (const command of step) {
      tracker.give(command);
      // Before a death it is whoever asked first; after one it is not known here.
      if (command.do === 'lock' && (program.death?.step ?? Infinity) > index) {
        if (!masters.has(command.resource)) masters.set(command.resource, command.node);
      }
    }
    for (const [lock, events] of told) for (const event of events) tracker.see(lock, event);
  });
  return all;
}
