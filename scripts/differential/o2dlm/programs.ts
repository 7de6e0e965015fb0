/** The programs of this profile that are not JavaScript. */
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { PROJECT_ROOT } from '../../vm/paths.js';

const run = promisify(execFile);

const FOLDER = 'build/differential';
const HERE = 'scripts/differential/o2dlm';
const ENGINE = 'native/o2dlm';

/** The program on each node, from the project's folder. */
export const AGENT = `${FOLDER}/dlmfs-agent`;
/** The program that looks for runs of the emulation. */
export const CHECKER = join(PROJECT_ROOT, FOLDER, 'o2dlm-checker');

/** Compiles the program for the nodes. Nodes that have used it before may go on with the old one. */
export async function buildAgent(): Promise<void> {
  const flags = ['-std=gnu11', '-Wall', '-Wextra', '-Werror', '-O1', '-static', '-pthread'];
  await build('gcc', flags, AGENT, [`${HERE}/guest/dlmfs-agent.c`], []);
}

/** Compiles the checker, the engine included. */
export async function buildChecker(): Promise<void> {
  const flags = ['-std=c++20', '-O2', '-Wall', '-Wextra', '-Werror', '-pthread'];
  flags.push('-Inative', `-I${ENGINE}`);
  const files = [...filesIn(ENGINE, '.cc'), ...filesIn(`${HERE}/checker`, '.cc')];
  const headers = [ENGINE, 'native/util', `${HERE}/checker`].flatMap((each) => filesIn(each, '.h'));
  await build('g++', flags, CHECKER, files, headers);
}

function filesIn(folder: string, end: string): string[] {
  return readdirSync(join(PROJECT_ROOT, folder))
    .filter((name) => name.endsWith(end))
    .map((name) => `${folder}/${name}`);
}

/** Unless the program is younger than all that it is made of. */
async function build(
  compiler: string,
  flags: readonly string[],
  program: string,
  files: readonly string[],
  headers: readonly string[],
): Promise<void> {
  const timeOf = (path: string): number => statSync(join(PROJECT_ROOT, path)).mtimeMs;
  const path = program.startsWith(FOLDER) ? join(PROJECT_ROOT, program) : program;
  const newest = Math.max(...[...files, ...headers].map(timeOf));
  if (existsSync(path) && statSync(path).mtimeMs > newest) return;
  mkdirSync(join(PROJECT_ROOT, FOLDER), { recursive: true });
  await run(compiler, [...flags, '-o', path, ...files], { cwd: PROJECT_ROOT });
}
