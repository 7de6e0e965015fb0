/**
 * How much longer than a Node.js that does nothing a program takes that imports stackglue, has its first lock of
 * stack `o2cb` and ends: what a command of a few lines pays for it. README.md says more.
 */
import { spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';

import { step, type Progress } from '../vm/index.js';
import { PROJECT_ROOT } from '../vm/paths.js';
import { thisMachine } from './host.js';
import { makeRow, type Row } from './result.js';
import { takeTurns } from './turns.js';

export interface StartOptions {
  /** Rows whose names do not match are left out. */
  readonly only: RegExp;
  /** As for the other benchmarks; here turns are more, because each is short. */
  readonly rounds: number;
  readonly progress: Progress;
  readonly report: (row: Row) => void;
}

const NAME = 'start, first lock of stack o2cb, beyond that of node -e 0';
const LIMIT_MS = 25;
const MORE_ROUNDS = 8;

const NOTHING = ['-e', '0'];
const FIRST_LOCK = [join(PROJECT_ROOT, 'dist/scripts/bench/start-program.js')];

/** How long a Node.js with these arguments lives. */
function lifeMs(args: readonly string[]): Promise<number> {
  const start = performance.now();
  const { status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`node ${args.join(' ')} ended with ${status}: ${stderr}`);
  return Promise.resolve(performance.now() - start);
}

/** Runs it, if it was chosen. */
export async function runStart({ only, rounds, progress, report }: StartOptions): Promise<void> {
  if (!only.test(NAME)) return;
  const lives = [NOTHING, FIRST_LOCK].map((args) => () => lifeMs(args));
  const [nothing = [], firstLock = []] = await step(progress, 'start', () =>
    takeTurns(lives, rounds * MORE_ROUNDS),
  );
  report(
    makeRow({
      name: NAME,
      unit: 'ms',
      rates: firstLock.map((ms, round) => ms - (nothing[round] ?? NaN)),
      references: [LIMIT_MS],
      target: { atMost: 1 },
      machine: thisMachine(availableParallelism()),
    }),
  );
}
