/**
 * What one differential sequence does: plain data, so that it can be sent to a node, written to a
 * file and replayed.
 */
import { DLM_LKF, DLM_LOCK } from '../../../lib/glue.js';

/** Nodes are 1 to this many. */
export const NODES = 3;
/** Resources of a sequence are 0 to one less than this. */
export const RESOURCES_MAX = 8;
/** Locks of a sequence are 0 to one less than this. */
export const LOCKS_MAX = 512;

/** What a node is told to do. `lock` names a lock of the sequence, and belongs to one node. */
export type Command =
  | {
      readonly do: 'lock';
      readonly node: number;
      readonly lock: number;
      readonly resource: number;
      readonly mode: number;
      readonly flags: number;
    }
  | {
      readonly do: 'convert';
      readonly node: number;
      readonly lock: number;
      readonly mode: number;
      readonly flags: number;
      /** Put into the lock's value block before. */
      readonly lvb?: string;
    }
  | {
      readonly do: 'unlock';
      readonly node: number;
      readonly lock: number;
      readonly flags: number;
      readonly lvb?: string;
    };

/**
 * What happens before the next step begins: one command, or two of different nodes on one resource,
 * given at once.
 */
export type Step = readonly Command[];

/** A node's power cut, before the step of that index. */
export interface Death {
  readonly step: number;
  readonly node: number;
}

export interface Program {
  /** Where it came from, for people: the seed and the number of the sequence. */
  readonly name: string;
  readonly steps: readonly Step[];
  readonly death?: Death;
  /** Steps whose commands are given one after the other, each behind a fence of its own. */
  readonly paused?: ReadonlySet<number>;
}

const names = (table: Readonly<Record<string, number>>, bits: number): string =>
  Object.entries(table)
    .filter(([, bit]) => (bits & bit) !== 0)
    .map(([name]) => name)
    .join('|');

const modeName = (mode: number): string =>
  Object.entries(DLM_LOCK).find(([, number]) => number === mode)?.[0] ?? String(mode);

/** A command as a person would write it. */
export function describeCommand(command: Command): string {
  const flags = names(DLM_LKF, command.flags);
  const lvb = command.do !== 'lock' && command.lvb !== undefined ? ` "${command.lvb}"` : '';
  const rest = `${flags === '' ? '' : ` ${flags}`}${lvb}`;
  const who = `node ${command.node}:`;
  switch (command.do) {
    case 'lock':
      return `${who} lock ${command.lock} on resource ${command.resource} ${modeName(command.mode)}${rest}`;
    case 'convert':
      return `${who} convert ${command.lock} to ${modeName(command.mode)}${rest}`;
    case 'unlock':
      return `${who} unlock ${command.lock}${rest}`;
  }
}

/** The resource that each lock of a program is on. */
export function resourcesOfLocks(program: Program): ReadonlyMap<number, number> {
  const found = new Map<number, number>();
  for (const command of program.steps.flat()) {
    if (command.do === 'lock') found.set(command.lock, command.resource);
  }
  return found;
}

/** The part of a program that is about one resource; its steps keep their numbers. */
export function projectOnto(program: Program, resource: number): Program {
  const of = resourcesOfLocks(program);
  const steps = program.steps.map((step) => step.filter(({ lock }) => of.get(lock) === resource));
  return { ...program, steps };
}
