/** Tools from npm's registry that are no part of what `npm ci` installs here. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { copyFile, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';

import { buildOnce } from './vm/cached.js';
import { VmError } from './vm/errors.js';
import { withLock } from './vm/lock.js';
import { PROJECT_ROOT } from './vm/paths.js';
import { runTool } from './vm/tools.js';

const FILES = ['package.json', 'package-lock.json'] as const;
const CACHE = join(PROJECT_ROOT, '.cache', 'pinned');

/** What packages are for, where it is not for this machine. */
interface Target {
  /** Another processor, as npm names it. npm takes what is for another only where it is optional. */
  readonly cpu?: string;
  /** They are for another libc, which npm would refuse. */
  readonly isOtherLibc?: boolean;
}

/**
 * Installs what the lock file in the folder `pinned` of the project names, unless it is here. npm compares it
 * with the hashes of that file, and runs no script of it. Resolves to the folder of the packages.
 *
 * @throws {VmError} `build`, with npm's words.
 */
export async function installPinned(pinned: string, target: Target = {}): Promise<string> {
  const source = join(PROJECT_ROOT, pinned);
  const hash = createHash('sha256').update(await readFile(join(source, 'package-lock.json')));
  const folder = join(CACHE, `${basename(pinned)}-${hash.digest('hex').slice(0, 12)}`);
  await withLock(`${folder}.lock`, () =>
    buildOnce(folder, async (work) => {
      for (const file of FILES) await copyFile(join(source, file), join(work, file));
      const flags = ['--ignore-scripts', '--no-audit', '--no-fund'];
      if (target.cpu !== undefined) flags.push('--cpu', target.cpu);
      if (target.isOtherLibc === true) flags.push('--force');
      const said = await runTool('npm', ['ci', ...flags], { cwd: work });
      await refuseGaps(work, said);
    }),
  );
  return join(folder, 'node_modules');
}

/** Of what is optional npm leaves out what it cannot download, and says that all went well. */
async function refuseGaps(work: string, said: string): Promise<void> {
  const { optionalDependencies = {} } = JSON.parse(
    await readFile(join(work, 'package.json'), 'utf8'),
  ) as { optionalDependencies?: Record<string, string> };
  for (const name of Object.keys(optionalDependencies)) {
    if (existsSync(join(work, 'node_modules', name))) continue;
    throw new VmError('build', `npm has not installed ${name}: ${said.trim()}`);
  }
}
