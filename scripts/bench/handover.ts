/**
 * Ways of handing requests over to the thread that makes the calls, compared on the host by
 * handover.cc, which says what they are. README.md says what was chosen because of it.
 */
import { execFileSync, spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { step, type Progress } from '../vm/index.js';
import { PROJECT_ROOT } from '../vm/paths.js';
import { thisMachine } from './host.js';
import { formatTable, makeRow, median, type Row } from './result.js';

export interface HandOverOptions {
  /** Comparisons whose names do not match are left out. */
  readonly only: RegExp;
  /** As for the other benchmarks; here turns are more and shorter. */
  readonly rounds: number;
  readonly seconds: number;
  readonly progress: Progress;
  readonly report: (row: HandOverRow) => void;
}

/** A row, and what its requests cost in medians. */
export interface HandOverRow extends Row {
  readonly way: string;
  readonly device: Device;
  readonly depth: number;
  /** Processor time for one request, in microseconds, of the loop and of the other thread. */
  readonly loopCpu: number;
  readonly threadCpu: number;
  /** Context switches of both for one request. */
  readonly switches: number;
}

/** When results come: with the call, or later. */
type Device = 'near' | 'far';

/** Threads that wake each other suffer from whatever else the host does. */
const MORE_ROUNDS = 3;
const SHORTER = 30;

const DEPTHS = [1, 8, 64] as const;

/** A way, as the program's words and as people's. */
interface Way {
  readonly name: string;
  readonly words: string;
}

const ring = (name: string, group: number, spin: number, looks: 0 | 1, rest: number): Way => ({
  name,
  words: `ring ${group} ${spin} ${looks} ${rest}`,
});

const QUEUE: Way = { name: 'queue, condition variable', words: 'queue 1 0 0 0' };
const PRODUCT: Way = { name: 'the product', words: 'product 16 0 1 32' };

const GROUPS = [1, 4, 16, 64] as const;
const SPINS = [5, 10, 20, 50, 100] as const;
const RESTS = [0, 8, 32, 128] as const;

/** With results that are there when the call has returned. */
const NEAR: readonly Way[] = [
  QUEUE,
  { name: 'no thread', words: 'loop 1 0 0 0' },
  { name: 'no thread, loop looks', words: 'loop 1 0 1 0' },
  ...GROUPS.map((group) => ring(`ring, wake every ${group}`, group, 0, 0, 0)),
  ...SPINS.map((spin) => ring(`ring, thread spins ${spin} µs`, 16, spin, 0, 0)),
  ...SPINS.map((spin) => ring(`ring, both spin ${spin} µs`, 16, spin, 1, 32)),
  PRODUCT,
];

/** Where the product spins; these differ from the product in one thing each. */
const NEAR_APART: readonly Way[] = [
  ...NEAR,
  ...GROUPS.map((group) => ring(`both spin 20 µs, wake every ${group}`, group, 20, 1, 32)),
  ...RESTS.map((rest) => ring(`both spin 20 µs, rest ${rest}`, 16, 20, 1, rest)),
];

/** With results that come later, so that looking for them is in vain. */
const FAR: readonly Way[] = [
  QUEUE,
  ring('ring, wake every 16', 16, 0, 0, 0),
  ...SPINS.map((spin) => ring(`ring, thread spins ${spin} µs`, 16, spin, 0, 0)),
  ...RESTS.map((rest) => ring(`both spin 20 µs, rest ${rest}`, 16, 20, 1, rest)),
  PRODUCT,
];

interface Comparison {
  readonly processors: number;
  readonly device: Device;
  readonly depth: number;
  readonly ways: readonly Way[];
}

const COMPARISONS: readonly Comparison[] = [
  ...DEPTHS.map((depth) => ({ processors: 1, device: 'near' as const, depth, ways: NEAR })),
  ...DEPTHS.map((depth) => ({ processors: 2, device: 'near' as const, depth, ways: NEAR_APART })),
  ...DEPTHS.map((depth) => ({ processors: 2, device: 'far' as const, depth, ways: FAR })),
];

const rowName = ({ device, processors, depth }: Comparison, way: Way): string => {
  const late = device === 'far' ? ', late results' : '';
  return `hand-over${late}, ${processors} CPU, depth ${depth}, ${way.name}`;
};

/** What the program answers: the times in seconds. */
interface Turn {
  readonly requests: number;
  readonly seconds: number;
  readonly loop: number;
  readonly thread: number;
  readonly switches: number;
}

const PROGRAM = 'build/bench/handover';

function buildProgram(): void {
  mkdirSync(join(PROJECT_ROOT, 'build/bench'), { recursive: true });
  const flags = ['-std=c++20', '-Wall', '-Wextra', '-Werror', '-O2', '-pthread', '-Inative'];
  const product = ['submitter.cc', 'device_protocol.cc'].map((name) => `native/libdlm/${name}`);
  execFileSync('g++', [...flags, '-o', PROGRAM, 'scripts/bench/handover.cc', ...product], {
    cwd: PROJECT_ROOT,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
}

/** handover.cc, running with so many processors. */
class Program {
  readonly #process: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;
  readonly #exit: Promise<number | null>;
  #said = '';

  constructor(processors: number) {
    this.#process = spawn(join(PROJECT_ROOT, PROGRAM), [String(processors)]);
    this.#process.stderr.setEncoding('utf8').on('data', (text: string) => (this.#said += text));
    this.#lines = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]();
    this.#exit = new Promise((resolve) => this.#process.on('close', resolve));
  }

  async measure({ words }: Way, { device, depth }: Comparison, seconds: number): Promise<Turn> {
    this.#process.stdin.write(`run ${words} ${device} ${depth} ${seconds}\n`);
    const next = await this.#lines.next();
    if (next.done === true) throw new Error(`handover ended: ${this.#said}`);
    return JSON.parse(next.value) as Turn;
  }

  async end(): Promise<void> {
    this.#process.stdin.end();
    const code = await this.#exit;
    if (code !== 0) throw new Error(`handover ended with code ${String(code)}: ${this.#said}`);
  }
}

/** Runs the comparisons that were chosen, as far as this host has the processors. */
export async function runHandOver(options: HandOverOptions): Promise<void> {
  const { only, progress, report } = options;
  const chosen = COMPARISONS.filter(
    (comparison) =>
      comparison.processors <= availableParallelism() &&
      comparison.ways.some((way) => only.test(rowName(comparison, way))),
  );
  if (chosen.length === 0) return;
  buildProgram();
  for (const comparison of chosen) {
    const { processors, device, depth } = comparison;
    const isChosen = (way: Way): boolean => only.test(rowName(comparison, way));
    // What they are compared with is always measured.
    const ways = comparison.ways.filter((way) => way === QUEUE || isChosen(way));
    const what = `hand-over, ${device}, ${processors} CPU, depth ${depth}`;
    const turns = await step(progress, what, () => takeTurns(comparison, ways, options));
    const references = (turns[0] ?? []).map(rate);
    for (const [index, way] of ways.entries()) {
      if (!isChosen(way)) continue;
      const its = turns[index] ?? [];
      const perRequest = (cost: (turn: Turn) => number): number =>
        median(its.map((turn) => cost(turn) / turn.requests));
      const row = makeRow({
        name: rowName(comparison, way),
        unit: '1/s',
        rates: its.map(rate),
        references,
        target: undefined,
        machine: thisMachine(processors),
      });
      report({
        ...row,
        way: way.name,
        device,
        depth,
        loopCpu: perRequest(({ loop }) => loop * 1e6),
        threadCpu: perRequest(({ thread }) => thread * 1e6),
        switches: perRequest(({ switches }) => switches),
      });
    }
  }
}

/** The turns of each way. Each has one that does not count. */
async function takeTurns(
  comparison: Comparison,
  ways: readonly Way[],
  { rounds, seconds }: HandOverOptions,
): Promise<Turn[][]> {
  const program = new Program(comparison.processors);
  const turns = ways.map((): Turn[] => []);
  for (let round = 0; round <= rounds * MORE_ROUNDS; round++) {
    for (const [index, way] of ways.entries()) {
      const turn = await program.measure(way, comparison, seconds / SHORTER);
      if (round > 0) turns[index]?.push(turn);
    }
  }
  await program.end();
  return turns;
}

const rate = ({ requests, seconds }: Turn): number => requests / seconds;

/** The rows as tables in Markdown: for each number of processors and device, a line for each way. */
export function formatHandOver(rows: readonly HandOverRow[]): string {
  const title = ({ machine, device }: HandOverRow): string => {
    const { vcpus, cores, cpu, kernel } = machine;
    const where = vcpus === 1 ? 'both threads on one processor' : 'each on a processor of its own';
    const late = device === 'far' ? ', results come later' : '';
    return `Hand-over, ${where}${late}; host: ${cores} × ${cpu}, Linux ${kernel}`;
  };
  return [...new Set(rows.map(title))]
    .map((each) => `${each}\n\n${formatWays(rows.filter((row) => title(row) === each))}`)
    .join('\n');
}

function formatWays(rows: readonly HandOverRow[]): string {
  const depths = [...new Set(rows.map(({ depth }) => depth))];
  const headings = depths.flatMap((depth) => [`depth ${depth}: 1000/s`, 'CPU, µs', 'switches']);
  const lines = [...new Set(rows.map(({ way }) => way))].map((way) => [
    way,
    ...depths.flatMap((depth) => {
      const row = rows.find((each) => each.way === way && each.depth === depth);
      return row === undefined ? ['', '', ''] : wayCells(row);
    }),
  ]);
  return formatTable([['', ...headings], ...lines], (column) => column === 0);
}

function wayCells({ rate, rates, loopCpu, threadCpu, switches }: HandOverRow): string[] {
  const thousands = (value: number): string => (value / 1000).toFixed(1);
  const sorted = rates.toSorted((a, b) => a - b);
  const at = (part: number): number => sorted[Math.round((sorted.length - 1) * part)] ?? NaN;
  return [
    `${thousands(rate)} (${thousands(at(0.25))}\u2013${thousands(at(0.75))})`,
    `${loopCpu.toFixed(1)} + ${threadCpu.toFixed(1)}`,
    switches.toFixed(2),
  ];
}
