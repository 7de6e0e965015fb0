/** Tools from npm's registry that are no part of what `npm ci` installs here. */
import { createHash } from 'node:crypto';
import { copyFile, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';

import { buildOnce } from './vm/cached.js';
import { withLock } from './vm/lock.js';
import { PROJECT_ROOT } from './vm/paths.js';
import { runTool } from './vm/tools.js';

const FILES = ['package.json', 'package-lock.json'] as const;
const CACHE = join(PROJECT_ROOT, '.cache', 'pinned');

/**
 * Installs what the lock file in the folder `pinned` of the project names, unless it is here. npm compares it
 * with the hashes of that file, and runs no script of it. Resolves to the folder of the packages.
 *
 * @throws {VmError} `build`, with npm's words.
 */
export async function installPinned(pinned: string): Promise<string> {
  const source = join(PROJECT_ROOT, pinned);
  const hash = createHash('sha256').update(await readFile(join(source, 'package-lock.json')));
  const folder = join(CACHE, `${basename(pinned)}-${hash.digest('hex').slice(0, 12)}`);
  await withLock(`${folder}.lock`, () =>
    buildOnce(folder, async (work) => {
      for (const file of FILES) await copyFile(join(source, file), join(work, file));
      await runTool('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: work });
    }),
  );
  return join(folder, 'node_modules');
}
