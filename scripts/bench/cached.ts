/**
 * The benchmarks of cached locks inside one process: what a hold costs that asks nobody, among few and among many, and
 * what a cached name takes. README.md says what is compared with what.
 */
import { step, type Progress } from '../vm/index.js';
import type { NameMemory } from './cached-memory.js';
import type { SubjectName } from './cached-program.js';
import { Talker } from './contestant.js';
import type { Turn } from './cycles.js';
import { MORE_ROUNDS, rowOf, SHORTER } from './embedded.js';
import { HostProgram } from './host-program.js';
import { thisMachine } from './host.js';
import { makeRow, type Row, type Target } from './result.js';
import { takeTurns } from './turns.js';

export interface CachedBenchOptions {
  /** Rows whose names do not match are left out. */
  readonly only: RegExp;
  readonly rounds: number;
  readonly seconds: number;
  readonly progress: Progress;
  readonly report: (row: Row) => void;
}

/** Somebody with so many names. */
interface Who {
  readonly subject: SubjectName;
  readonly names: number;
}

/** What is taken, and how: words of cached-program.ts. */
interface Work {
  readonly size: number;
  readonly order: 'together' | 'spread' | 'random';
}

interface Comparison {
  readonly name: string;
  readonly ours: Who & Work;
  readonly theirs: Who & Work;
  readonly target?: Target;
}

const count = (value: number): string => value.toLocaleString('en-US');

const IN_USE = 1_000;
const CACHED = [10, IN_USE, 100_000, 1_000_000] as const;
const MANY = 1_000_000;

const TIMES_ASYNC_MUTEX: Target = { atLeast: 80, by: 'cpu' };
const SAME_RATE: Target = { atLeast: 0.85, by: 'cpu' };
const AT_RANDOM: Target = { atLeast: 8, by: 'cpu' };

function inUse(names: number, order: Work['order']): Who & Work {
  return { subject: 'cached', names, size: Math.min(IN_USE, names), order };
}

const MUTEXES: Who & Work = {
  subject: 'async-mutex',
  names: IN_USE,
  size: IN_USE,
  order: 'together',
};

/** What the lines of a working set are called. */
function setName({ names, size }: Who & Work, how: string): string {
  return `cached, hold and release, ${count(size)} names${how} of ${count(names)} cached`;
}

const COMPARISONS: readonly Comparison[] = [
  ...CACHED.map((names): Comparison => {
    const ours = inUse(names, 'together');
    const name = `${setName(ours, '')}, and async-mutex`;
    return { name, ours, theirs: MUTEXES, target: TIMES_ASYNC_MUTEX };
  }),
  ...CACHED.filter((names) => names !== IN_USE).flatMap((names): Comparison[] => {
    const theirs = inUse(IN_USE, 'together');
    const together = inUse(names, 'together');
    const spread = inUse(names, 'spread');
    const others = `, and with ${count(IN_USE)} cached`;
    const name = `${setName(together, '')}${others}`;
    const near: Comparison = { name, ours: together, theirs, target: SAME_RATE };
    if (names < IN_USE) return [near];
    return [near, { name: `${setName(spread, ' here and there')}${others}`, ours: spread, theirs }];
  }),
  {
    name: `cached, hold and release, at random among ${count(MANY)}, and async-mutex`,
    ours: { subject: 'cached', names: MANY, size: MANY, order: 'random' },
    theirs: { subject: 'async-mutex', names: MANY, size: MANY, order: 'random' },
    target: AT_RANDOM,
  },
];

/** Bytes of a cached name, without those of its lock by the glue's calls, which a program would have anyway. */
const BYTES_PER_NAME = 400;
const memoryName = (names: number): string =>
  `cached, memory of a name above the glue's lock, among ${count(names)}`;
const MEMORIES = CACHED.slice(-2);

/** What the way of a name costs this project's own code: there is no kernel, and no network, between its nodes. */
const HAND_OVER = "cached, hand-over of two emulated nodes, and by the glue's calls";

/** Runs what was chosen. */
export async function runCached(options: CachedBenchOptions): Promise<void> {
  const { only, progress } = options;
  const programs = new Map<string, Talker>();
  const start = async ({ subject, names }: Who): Promise<Talker> => {
    const who = `${subject} ${names}`;
    const running = programs.get(who);
    if (running !== undefined) return running;
    const program = await step(progress, `cached, ${subject}, ${count(names)} names`, () =>
      Talker.start(HOST, `exec node --expose-gc dist/scripts/bench/cached-program.js ${who}`),
    );
    programs.set(who, program);
    return program;
  };
  // Those whose work is the same are measured side by side.
  const chosen = COMPARISONS.filter(({ name }) => only.test(name));
  for (const isRandom of [false, true]) {
    const its = chosen.filter(({ ours }) => (ours.order === 'random') === isRandom);
    if (its.length > 0) await runComparisons(its, start, options);
  }
  for (const program of programs.values()) await program.end();
  await runHandOver(options);
  await runMemory(options);
}

const HOST = {
  spawn: (command: string): HostProgram => new HostProgram('sh', ['-c', command]),
};

async function runComparisons(
  chosen: readonly Comparison[],
  start: (who: Who) => Promise<Talker>,
  { rounds, seconds, progress, report }: CachedBenchOptions,
): Promise<void> {
  const keyOf = ({ subject, names, size, order }: Who & Work): string =>
    `${subject} ${names} ${size} ${order}`;
  const all = new Map(
    chosen.flatMap(({ ours, theirs }) => [ours, theirs]).map((who) => [keyOf(who), who]),
  );
  const measures: (() => Promise<Turn>)[] = [];
  for (const who of all.values()) {
    const program = await start(who);
    const line = `${who.size} ${who.order} ${seconds / SHORTER}`;
    measures.push(async () => (await program.ask(line)) as Turn);
  }
  const turns = await step(progress, 'cached, hold and release', () =>
    takeTurns(measures, rounds * MORE_ROUNDS),
  );
  const keys = [...all.keys()];
  const turnsOf = (who: Who & Work): readonly Turn[] => turns[keys.indexOf(keyOf(who))] ?? [];
  for (const { name, ours, theirs, target } of chosen) {
    report(rowOf(name, turnsOf(ours), turnsOf(theirs), target));
  }
}

async function runHandOver({
  only,
  rounds,
  seconds,
  progress,
  report,
}: CachedBenchOptions): Promise<void> {
  if (!only.test(HAND_OVER)) return;
  const programs: Talker[] = [];
  for (const who of ['cached', 'glue']) {
    const command = `exec node dist/scripts/bench/hand-over-emulated.js ${who}`;
    programs.push(await Talker.start(HOST, command));
  }
  const measures = programs.map(
    (program) => async () => (await program.ask(`${seconds / SHORTER}`)) as Turn,
  );
  const [ours = [], theirs = []] = await step(progress, HAND_OVER, () =>
    takeTurns(measures, rounds * MORE_ROUNDS),
  );
  report(rowOf(HAND_OVER, ours, theirs, undefined));
  for (const program of programs) await program.end();
}

async function runMemory({ only, progress, report }: CachedBenchOptions): Promise<void> {
  for (const names of MEMORIES) {
    const name = memoryName(names);
    if (!only.test(name)) continue;
    const program = new HostProgram(process.execPath, [
      '--expose-gc',
      'dist/scripts/bench/cached-memory.js',
      String(names),
    ]);
    const { glue, cached, handles } = await step(progress, name, async () => {
      const line = await program.lines.next();
      if (line.done === true) throw new Error(`cached-memory ended: ${program.stderrText}`);
      await program.exit;
      return JSON.parse(line.value) as NameMemory;
    });
    const row = { unit: 'byte/name', references: [BYTES_PER_NAME], machine: thisMachine(1) };
    const above = cached - glue;
    report(makeRow({ ...row, name, rates: [above], target: { atMost: 1 } }));
    report(makeRow({ ...row, name: `${name}, its CachedLock not kept`, rates: [above - handles] }));
  }
}
