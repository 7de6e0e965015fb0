/** What the tests of the tarball share: a program that uses it, what it is installed with, and its binaries. */
import { expect } from 'chai';
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { ownTarget } from '../../lib/addon-place.js';
import { installPinned } from '../../scripts/pinned.js';
import { prebuild } from '../../scripts/prebuild/prebuild.js';
import { TARGETS } from '../../scripts/prebuild/targets.js';

/** Of the lock file of scripts/release/tools: which Node.js its npm runs on. */
export const OF_NPM = '24';

/** A lock on each emulation, in a module or a function that has `openLockspace`. */
export const USE = `
  for (const stack of ['emulated', 'o2cb']) {
    const lockspace = await openLockspace('packed', { stack });
    await lockspace.using('name', 'EX', (lock) => console.log(stack, lock.mode));
    await lockspace.close();
  }`;
/** What {@link USE} prints. */
export const USED = 'emulated EX\no2cb EX\n';

/** A module that does it, and takes something of each entry. */
export const MODULE = `import { openLockspace } from 'stackglue';
import { defaultGlue } from 'stackglue/glue';
import { Simulation } from 'stackglue/simulator';
import { stackConformance } from 'stackglue/conformance';
import { webLocks } from 'stackglue/web-locks';
import { elect } from 'stackglue/recipes';
new Simulation({ seed: 1 }).close();
if (!defaultGlue || !stackConformance || !webLocks || !elect) throw new Error('not whole');
${USE}
`;
/** Arguments of npm that install a tarball. */
export const npm = (path: string): string[] => ['install', '--no-audit', '--no-fund', path];

/** Runs a program to its end; what it printed. */
export function run(cwd: string, command: string, args: readonly string[], env = {}): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd,
    encoding: 'utf8',
    env: { ...process.env, ...env },
  });
  expect(
    status,
    `${command} ${args.join(' ')}: ${error?.message ?? ''}${stdout}${stderr}`,
  ).to.equal(0);
  return stdout;
}

/** An empty program's folder. */
export function consumerIn(path: string): string {
  mkdirSync(path, { recursive: true });
  writeFileSync(join(path, 'package.json'), '{ "name": "consumer", "type": "module" }');
  return path;
}

/** The folder of the tools that the tarball is tested with; where they do not run, skips and says so. */
export async function toolsOrSkip(context: Mocha.Context): Promise<string> {
  if (ownTarget() !== 'linux-x64') {
    console.log(`      skipped: the tools for it are for linux-x64, and this is ${ownTarget()}`);
    context.skip();
  }
  return installPinned('scripts/release/tools');
}

/** Makes the binaries for one machine, unless they are there. */
export async function prebuildFor(name: string): Promise<void> {
  await prebuild(TARGETS.filter((target) => target.name === name));
}
