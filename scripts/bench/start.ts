/**
 * How much longer than a Node.js that does nothing a program takes that imports stackglue, has its first lock of
 * stack `o2cb` and ends: what a command of a few lines pays for it. README.md says more.
 */
import { spawnSync } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';

import { bundle } from '../release/bundle.js';
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
const [PACKED, CHECKOUT] = [`${NAME}: as packed`, `${NAME}: the checkout`] as const;
const LIMIT_MS = 25;
const MORE_ROUNDS = 8;

const PROGRAM = 'dist/scripts/bench/start-program.js';
const CACHE = join(PROJECT_ROOT, '.cache');

/** How long a Node.js with these arguments lives. */
function lifeMs(args: readonly string[]): Promise<number> {
  const start = performance.now();
  const { status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`node ${args.join(' ')} ended with ${status}: ${stderr}`);
  return Promise.resolve(performance.now() - start);
}

/** Lays the package into `folder` as its users have it, with the addon of this checkout, beside the program. */
async function install(folder: string): Promise<string> {
  const own = join(folder, 'node_modules/stackglue');
  await mkdir(own, { recursive: true });
  await bundle(own);
  await copyFile(join(PROJECT_ROOT, 'package.json'), join(own, 'package.json'));
  await symlink(join(PROJECT_ROOT, 'build'), join(own, 'build'));
  const program = await readFile(join(PROJECT_ROOT, PROGRAM), 'utf8');
  // Else the program would be one of this checkout, whose `stackglue` is itself.
  await writeFile(join(folder, 'package.json'), '{ "private": true }');
  const path = join(folder, 'start-program.mjs');
  await writeFile(path, program.replace('../../lib/index.js', 'stackglue'));
  const found = createRequire(path).resolve('stackglue');
  if (!found.startsWith(own)) throw new Error(`The program would take ${found}`);
  return path;
}

/** Runs what was chosen. */
export async function runStart({ only, rounds, progress, report }: StartOptions): Promise<void> {
  if (![PACKED, CHECKOUT].some((name) => only.test(name))) return;
  await mkdir(CACHE, { recursive: true });
  // Below the checkout, so that what the package depends on is found.
  const folder = await mkdtemp(join(CACHE, 'start-'));
  try {
    const programs = [['-e', '0'], [await install(folder)], [join(PROJECT_ROOT, PROGRAM)]];
    const lives = programs.map((args) => () => lifeMs(args));
    const [nothing = [], ...others] = await step(progress, 'start', () =>
      takeTurns(lives, rounds * MORE_ROUNDS),
    );
    for (const [index, name] of [PACKED, CHECKOUT].entries()) {
      if (!only.test(name)) continue;
      report(
        makeRow({
          name,
          unit: 'ms',
          rates: (others[index] ?? []).map((ms, round) => ms - (nothing[round] ?? NaN)),
          references: [LIMIT_MS],
          // What is published has to start fast.
          target: name === PACKED ? { atMost: 1 } : undefined,
          machine: thisMachine(availableParallelism()),
        }),
      );
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
