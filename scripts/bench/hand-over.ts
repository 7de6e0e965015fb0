/**
 * Cached locks of the kernel's DLM: how long it takes from a hold on one node to one on another, and that a hold which is
 * covered makes no system call.
 */
import { callsBetweenMarks, step, type GuestNode, type Progress } from '../vm/index.js';
import { compile } from './compile.js';
import { Talker, type Mode, type Turn } from './contestant.js';
import { makeRow, type Machine, type Row } from './result.js';
import { takeTurns } from './turns.js';

const LOCKSPACE = 'handover';
const REFERENCE = 'hand-over-reference';
const JAVASCRIPT = 'dist/scripts/bench/hand-over-program.js';

const HAND_OVER = 'cached, from a hold on one node to one on another';
const HOLDS = 10_000_000;
const CALLS = `cached, system calls of ${HOLDS.toLocaleString('en-US')} holds`;

interface Choice {
  readonly only: RegExp;
}

export interface HandOverOptions extends Choice {
  readonly rounds: number;
  readonly seconds: number;
  readonly modes: readonly Mode[];
  readonly progress: Progress;
  readonly report: (row: Row) => void;
}

/** Whether any of these was chosen. */
export function isHandOverChosen({ only }: Choice): boolean {
  return [HAND_OVER, CALLS].some((name) => only.test(name));
}

/** Compiles the C program. Do it before the guests boot: they remember what they have read. */
export function buildHandOverReference(): void {
  compile(`${REFERENCE}.c`, REFERENCE, ['-ldlm_lt', '-lm']);
}

/** The same program on two nodes. */
type Pair = readonly [Talker, Talker];

/** Measures them. The first node is the master of all names. */
export async function runHandOvers(
  nodes: readonly [GuestNode, GuestNode],
  machine: Machine,
  options: HandOverOptions,
): Promise<void> {
  const { only, modes } = options;
  const pairs = new Map<Mode | 'C', Pair>([
    ['C', await startPair(nodes, 'C', `exec ./build/bench/${REFERENCE} ${LOCKSPACE}`)],
  ]);
  for (const submit of modes) {
    const command = `exec node ${JAVASCRIPT} ${LOCKSPACE} '${JSON.stringify({ submit })}'`;
    pairs.set(submit, await startPair(nodes, submit, command));
  }
  if (only.test(CALLS)) await countCalls(nodes[0], pairs, machine, options);
  if (only.test(HAND_OVER)) await measureHandOvers(pairs, machine, options);
  for (const pair of pairs.values()) for (const each of pair) await each.end();
}

async function startPair(
  [first, second]: readonly [GuestNode, GuestNode],
  name: string,
  command: string,
): Promise<Pair> {
  const pair = [await Talker.start(first, command), await Talker.start(second, command)] as const;
  await pair[0].ask(`take ${name}`);
  return pair;
}

async function measureHandOvers(
  pairs: ReadonlyMap<Mode | 'C', Pair>,
  machine: Machine,
  { rounds, seconds, progress, report }: HandOverOptions,
): Promise<void> {
  for (const [name, [, second]] of pairs) await second.ask(`take ${name}`);
  /** Microseconds for each. */
  const turn = async (pair: Pair): Promise<number> => {
    const turns = (await Promise.all(pair.map((each) => each.ask(`turn ${seconds}`)))) as Turn[];
    const operations = turns.reduce((sum, each) => sum + each.operations, 0);
    return (Math.max(...turns.map((each) => each.seconds)) * 1e6) / operations;
  };
  const contestants = [...pairs.values()].map((pair) => () => turn(pair));
  const [references = [], ...ours] = await step(progress, HAND_OVER, () =>
    takeTurns(contestants, rounds),
  );
  const modes = [...pairs.keys()].slice(1);
  for (const [index, mode] of modes.entries()) {
    const name = `${HAND_OVER}, ${mode}`;
    report(
      makeRow({
        name,
        unit: 'µs',
        rates: ours[index] ?? [],
        references,
        target: { atMost: 1.3 },
        machine,
      }),
    );
  }
}

async function countCalls(
  node: GuestNode,
  pairs: ReadonlyMap<Mode | 'C', Pair>,
  machine: Machine,
  { modes, progress, report }: HandOverOptions,
): Promise<void> {
  for (const mode of modes) {
    const [program] = pairs.get(mode) ?? [];
    if (program === undefined) continue;
    const { pid } = (await program.ask('pid')) as { pid: number };
    const { ofV8, others } = await step(progress, `${CALLS}, ${mode}`, () =>
      callsBetweenMarks(node, pid, 'umask', () => program.ask(`covered ${HOLDS}`)),
    );
    const row = { unit: 'calls', references: [HOLDS], machine };
    const name = `${CALLS}, ${mode}`;
    report(makeRow({ ...row, name, rates: [others.length], target: { atMost: 0 } }));
    report(makeRow({ ...row, name: `${name}, V8's own beside them`, rates: [ofV8.length] }));
  }
}
