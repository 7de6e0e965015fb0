/**
 * The titles of a guest's tests, which mocha on the host must know before the guest runs. They are listed by
 * a dry run, once after each build.
 */

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

import { HANG_MS } from './deadline.js';
import { VmError } from './errors.js';
import { parseReport } from './guest-reporter.js';
import { PROJECT_ROOT, cacheFolder } from './paths.js';

/** Mocha's program, relative to the project. */
export const MOCHA = join('node_modules', 'mocha', 'bin', 'mocha.js');
/** The reporter for guests, relative to the project. */
export const REPORTER = relative(PROJECT_ROOT, join(import.meta.dirname, 'guest-reporter.js'));

/** What this module belongs to: all that was compiled. */
const COMPILED = dirname(dirname(import.meta.dirname));

let compiledHash: string | undefined;

/** Names and bytes of all that was compiled. */
function hashOfCompiled(): string {
  if (compiledHash !== undefined) return compiledHash;
  const sum = createHash('sha256');
  const files = readdirSync(COMPILED, { recursive: true, encoding: 'utf8' });
  for (const file of files.filter((name) => name.endsWith('.js')).sort()) {
    sum.update(file).update(readFileSync(join(COMPILED, file)));
  }
  return (compiledHash = sum.digest('hex'));
}

/**
 * The tests in a file for guests: the titles of each, from the outermost suite's to its own.
 *
 * @param spec the compiled file, relative to the project. It is loaded on the host for this.
 * @throws {VmError} `usage`, with what mocha said, when the file cannot be loaded.
 */
export function listTests(spec: string): string[][] {
  const name = createHash('sha256').update(hashOfCompiled()).update(spec).digest('hex');
  const path = join(cacheFolder(), 'listings', `${name.slice(0, 16)}.json`);
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as string[][];
  } catch {
    // Not listed since the last build.
  }
  const titles = dryRun(spec);
  mkdirSync(dirname(path), { recursive: true });
  // Several processes may list the same file; each listing is there whole or not at all.
  writeFileSync(`${path}.${process.pid}`, JSON.stringify(titles));
  renameSync(`${path}.${process.pid}`, path);
  return titles;
}

function dryRun(spec: string): string[][] {
  const args = [MOCHA, '--no-config', '--dry-run', '--reporter', REPORTER, spec];
  const { stdout, stderr, status } = spawnSync(process.execPath, args, {
    cwd: PROJECT_ROOT,
    env: { ...process.env, STACKGLUE_GUEST: '1' },
    encoding: 'utf8',
    timeout: HANG_MS,
    maxBuffer: 64 * 1024 * 1024,
  });
  if (status !== 0) {
    throw new VmError('usage', `The tests in ${spec} cannot be listed.\n${stdout}${stderr}`);
  }
  const reports = stdout.split('\n').map(parseReport);
  return reports.flatMap((report) => (report ? [[...report.path]] : []));
}
