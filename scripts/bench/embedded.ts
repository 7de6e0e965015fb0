/**
 * The benchmarks of what runs inside one process: both engines in C++, and stack `o2cb` through the glue
 * against async-lock, async-mutex and navigator.locks. They need no virtual machines. README.md says
 * what is compared with what.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';

import { step, type Progress } from '../vm/index.js';
import { PROJECT_ROOT } from '../vm/paths.js';
import type { Turn } from './cycles.js';
import type { SubjectName } from './embedded-program.js';
import { HostProgram } from './host-program.js';
import { thisMachine } from './host.js';
import { makeRow, type Row, type Target } from './result.js';
import { takeTurns } from './turns.js';

export interface EmbeddedOptions {
  /** Rows whose names do not match are left out. */
  readonly only: RegExp;
  /** As for the other benchmarks; here turns are more and shorter. */
  readonly rounds: number;
  readonly seconds: number;
  readonly progress: Progress;
  readonly report: (row: Row) => void;
}

const run = promisify(execFile);

/** As for all that needs no machines: turns are more and shorter. */
export const MORE_ROUNDS = 2;
export const SHORTER = 6;

/** The Node.js that has `navigator.locks`; npm's package of that version brings the program. */
const NODE_24 = '24.21.0';

const ENGINES = ['o2dlm', 'fsdlm'] as const;
type Engine = (typeof ENGINES)[number];

type Work = 'lock' | 'contended';
type Who = SubjectName | Engine;

const LABELS: Record<Who, string> = {
  glue: 'o2cb through the glue',
  'glue-fresh': 'o2cb through the glue, new status blocks',
  promises: 'o2cb by promises',
  using: 'o2cb by promises, using()',
  values: 'emulated user by promises, values of names in use',
  tokens: 'emulated user by promises, values and tokens of names in use',
  'values-new': 'emulated user by promises, values of names that come and go',
  'tokens-new': 'emulated user by promises, values and tokens of names that come and go',
  'async-lock': 'async-lock',
  'async-mutex': 'async-mutex',
  'navigator.locks': `navigator.locks of Node.js ${NODE_24}`,
  o2dlm: 'o2dlm engine in C++',
  fsdlm: 'fsdlm engine in C++',
};

interface Comparison {
  readonly work: Work;
  readonly depth: number;
  readonly ours: Who;
  readonly theirs: Who;
  readonly target?: Target;
}

const DEPTHS = [1, 64, 1000] as const;
const WAITERS = 100;

/** What the promises cost, and what that comes to beside others' promises. */
const PROMISES: readonly Comparison[] = [
  ...[1, 64].flatMap((depth): Comparison[] => {
    const at = { work: 'lock', depth, ours: 'promises' } as const;
    const isAlone = depth === 1;
    return [
      { ...at, theirs: 'async-lock', ...(isAlone && { target: { atLeast: 0.45 } }) },
      { ...at, theirs: 'async-mutex', ...(isAlone && { target: { atLeast: 3 } }) },
      { ...at, theirs: 'navigator.locks', ...(isAlone && { target: { atLeast: 7 } }) },
      { ...at, theirs: 'glue' },
      { ...at, ours: 'using', theirs: 'promises', ...(isAlone && { target: { atLeast: 1 } }) },
    ];
  }),
  {
    work: 'contended',
    depth: WAITERS,
    ours: 'promises',
    theirs: 'async-mutex',
    target: { atLeast: 3 },
  },
];

/** What tokens cost. */
const TOKENS: readonly Comparison[] = [1, 64].flatMap((depth): Comparison[] => {
  const at = { work: 'lock', depth } as const;
  return [
    { ...at, ours: 'tokens', theirs: 'values', target: { atLeast: 0.8 } },
    { ...at, ours: 'tokens-new', theirs: 'values-new' },
  ];
});

const COMPARISONS: readonly Comparison[] = [
  ...DEPTHS.flatMap((depth): Comparison[] => {
    const at = { work: 'lock', depth } as const;
    return [
      { ...at, ours: 'o2dlm', theirs: 'async-lock', target: { atLeast: 4 } },
      { ...at, ours: 'fsdlm', theirs: 'async-lock' },
      { ...at, ours: 'glue', theirs: 'async-lock', target: { atLeast: 1 } },
      { ...at, ours: 'glue', theirs: 'async-mutex', target: { atLeast: 3 } },
      { ...at, ours: 'glue', theirs: 'navigator.locks', target: { atLeast: 10 } },
      { ...at, ours: 'glue-fresh', theirs: 'async-lock' },
    ];
  }),
  {
    work: 'contended',
    depth: WAITERS,
    ours: 'glue',
    theirs: 'async-mutex',
    target: { atLeast: 3 },
  },
  { work: 'contended', depth: WAITERS, ours: 'glue', theirs: 'async-lock' },
  { work: 'contended', depth: WAITERS, ours: 'glue', theirs: 'navigator.locks' },
  ...PROMISES,
  ...TOKENS,
];

const count = (value: number): string => value.toLocaleString('en-US');

function comparisonName({ work, depth, ours, theirs }: Comparison): string {
  const what = work === 'lock' ? `lock+unlock, depth ${depth}` : `${depth} waiters on one name`;
  return `embedded, ${what}, ${LABELS[ours]} and ${LABELS[theirs]}`;
}

/** A curve: what an engine does at sizes over three decades, each compared with the smallest. */
interface Curve {
  readonly name: string;
  /** A word of test/engines/bench.h. */
  readonly what: string;
  readonly sizes: readonly number[];
  /** At the largest size. */
  readonly target?: Target;
}

const RESOURCES = [1_000, 10_000, 100_000, 1_000_000];
const LOCKS = [10, 100, 1_000, 10_000];
/** Neither grows, but a large table does not fit into the processor's caches. */
const FLAT: Target = { atLeast: 0.5 };

const CURVES: readonly Curve[] = [
  { name: 'lock+unlock among held resources', what: 'among', sizes: RESOURCES },
  { name: 'EX waiters on one resource drained', what: 'drain-ex', sizes: LOCKS, target: FLAT },
  { name: 'PR waiters on one resource drained', what: 'drain-pr', sizes: LOCKS, target: FLAT },
  {
    name: 'conversions on one resource drained',
    what: 'drain-conversions',
    sizes: LOCKS,
    target: FLAT,
  },
  { name: 'waiters on one resource cancelled', what: 'cancel', sizes: LOCKS, target: FLAT },
];

const MEMORY = 'memory of an idle lock among so many';
const BYTES_PER_LOCK = 256;

const curveName = (engine: Engine, name: string, size: number): string =>
  `embedded, ${engine} engine, ${name}: ${count(size)}`;

/** Runs what was chosen. */
export async function runEmbedded(options: EmbeddedOptions): Promise<void> {
  await runComparisons(options);
  for (const engine of ENGINES) await runCurves(engine, options);
}

async function runComparisons(options: EmbeddedOptions): Promise<void> {
  const { only, progress, report } = options;
  const chosen = COMPARISONS.filter((each) => only.test(comparisonName(each)));
  if (chosen.length === 0) return;
  const subjects = new Map<Who, Subject>();
  for (const who of new Set(chosen.flatMap(({ ours, theirs }) => [ours, theirs]))) {
    subjects.set(who, await startSubject(who, progress));
  }
  for (const { work, depth } of uniqueWorks(chosen)) {
    const its = chosen.filter((each) => each.work === work && each.depth === depth);
    const names = [...new Set(its.flatMap(({ ours, theirs }) => [ours, theirs]))];
    const measures = names.map((who) => () => {
      const subject = subjects.get(who);
      if (subject === undefined) throw new Error(`${who} does not run`);
      return subject.measure(work, depth, options.seconds / SHORTER);
    });
    const turns = await step(progress, `embedded, ${work}, depth ${depth}`, () =>
      takeTurns(measures, options.rounds * MORE_ROUNDS),
    );
    const turnsOf = (who: Who): readonly Turn[] => turns[names.indexOf(who)] ?? [];
    for (const each of its) {
      report(rowOf(comparisonName(each), turnsOf(each.ours), turnsOf(each.theirs), each.target));
    }
  }
  for (const subject of subjects.values()) await subject.end();
}

function uniqueWorks(chosen: readonly Comparison[]): Comparison[] {
  return chosen.filter(
    (each, at) =>
      chosen.findIndex(({ work, depth }) => work === each.work && depth === each.depth) === at,
  );
}

async function runCurves(engine: Engine, options: EmbeddedOptions): Promise<void> {
  const { only, progress, report } = options;
  for (const { name, what, sizes, target } of CURVES) {
    const [smallest = 0] = sizes;
    const chosen = sizes.filter((size) => only.test(curveName(engine, name, size)));
    if (chosen.length === 0) continue;
    const measured = [smallest, ...chosen.filter((size) => size !== smallest)];
    const program = await buildEngine(engine);
    const seconds = options.seconds / SHORTER;
    const measures = measured.map((size) => () => askEngine<Turn>(program, what, size, seconds));
    const turns = await step(progress, `embedded, ${engine} engine, ${name}`, () =>
      takeTurns(measures, options.rounds * MORE_ROUNDS),
    );
    for (const size of chosen) {
      const its = turns[measured.indexOf(size)] ?? [];
      const goal = size === sizes.at(-1) ? target : undefined;
      report(rowOf(curveName(engine, name, size), its, turns[0] ?? [], goal));
    }
  }
  for (const size of RESOURCES) {
    const name = curveName(engine, MEMORY, size);
    if (!only.test(name)) continue;
    const program = await buildEngine(engine);
    const { bytes } = await askEngine<{ bytes: number }>(program, 'memory', size, 0);
    report(
      makeRow({
        name,
        unit: 'byte/lock',
        rates: [bytes],
        references: [BYTES_PER_LOCK],
        target: { atMost: 1 },
        machine: thisMachine(1),
      }),
    );
  }
}

/** A row of two who did the same. */
export function rowOf(
  name: string,
  ours: readonly Turn[],
  theirs: readonly Turn[],
  target: Target | undefined,
): Row {
  const rate = ({ operations, seconds }: Turn): number => operations / seconds;
  const cpuRate = ({ operations, cpuSeconds }: Turn): number => operations / cpuSeconds;
  return makeRow({
    name,
    unit: '1/s',
    rates: ours.map(rate),
    references: theirs.map(rate),
    cpuRates: ours.map(cpuRate),
    cpuReferences: theirs.map(cpuRate),
    target,
    machine: thisMachine(availableParallelism()),
  });
}

/** Somebody who can be measured. */
interface Subject {
  measure(work: Work, depth: number, seconds: number): Promise<Turn>;
  end(): Promise<void>;
}

const isEngine = (who: Who): who is Engine => (ENGINES as readonly string[]).includes(who);

async function startSubject(who: Who, progress: Progress): Promise<Subject> {
  if (isEngine(who)) {
    const program = await buildEngine(who);
    return {
      measure: (_, depth, seconds) => askEngine<Turn>(program, 'depth', depth, seconds),
      end: () => Promise.resolve(),
    };
  }
  return new Program(who === 'navigator.locks' ? await node24(progress) : process.execPath, who);
}

/** embedded-program.ts, running. */
class Program implements Subject {
  readonly #program: HostProgram;

  constructor(node: string, who: SubjectName) {
    this.#program = new HostProgram(node, ['dist/scripts/bench/embedded-program.js', who]);
  }

  async measure(work: Work, depth: number, seconds: number): Promise<Turn> {
    this.#program.stdin.write(`${work} ${depth} ${seconds}\n`);
    const next = await this.#program.lines.next();
    if (next.done === true) throw new Error(`embedded-program ended: ${this.#program.stderrText}`);
    return JSON.parse(next.value) as Turn;
  }

  async end(): Promise<void> {
    this.#program.stdin.end();
    const code = await this.#program.exit;
    if (code !== 0) {
      throw new Error(`embedded-program ended with ${String(code)}: ${this.#program.stderrText}`);
    }
  }
}

/** The program of an engine's <engine>_bench.cc, once it is built. */
async function buildEngine(engine: Engine): Promise<string> {
  const builder = pathToFileURL(join(PROJECT_ROOT, 'test/engines/build.mjs')).href;
  const { buildBenches } = (await import(builder)) as { buildBenches: () => Promise<string[]> };
  const program = (await buildBenches()).find((path) => path.endsWith(`/${engine}_bench`));
  if (program === undefined) throw new Error(`no benchmark of engine ${engine}`);
  return program;
}

async function askEngine<Answer>(
  program: string,
  what: string,
  size: number,
  seconds: number,
): Promise<Answer> {
  const { stdout } = await run(program, [what, String(size), String(seconds)]);
  return JSON.parse(stdout) as Answer;
}

/** Node.js 24, from npm; in the cache, so that installing the project does not take it along. */
async function node24(progress: Progress): Promise<string> {
  const folder = join(PROJECT_ROOT, '.cache', `node-${NODE_24}`);
  const name = `node-linux-${process.arch}`;
  const program = join(folder, 'node_modules', name, 'bin/node');
  if (!existsSync(program)) {
    const what = ['--no-save', '--ignore-scripts', '--no-audit', '--no-fund', `${name}@${NODE_24}`];
    await step(progress, `installing Node.js ${NODE_24}`, () =>
      run('npm', ['install', '--prefix', folder, ...what]),
    );
  }
  return program;
}
