/** Folders that are made once and kept. */

import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rename, rm, stat, utimes } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

const REMOVE_ALL = { recursive: true, force: true };
const KEEP_MS = 7 * 24 * 3600 * 1000;

/**
 * Makes `folder` with `build` unless it exists. It appears complete or not at all: `build` fills
 * a temporary folder beside it, which is renamed at the end. Call it under a lock.
 */
export async function buildOnce(
  folder: string,
  build: (work: string) => Promise<void>,
): Promise<void> {
  if (existsSync(folder)) return;
  const parent = dirname(folder);
  await mkdir(parent, { recursive: true });
  // Under the lock nobody else builds: what is half-built was left by a process that died.
  for (const name of await readdir(parent)) {
    if (name.startsWith(`${basename(folder)}.tmp-`)) await rm(join(parent, name), REMOVE_ALL);
  }
  const work = await mkdtemp(`${folder}.tmp-`);
  try {
    await build(work);
    await rename(work, folder);
  } finally {
    await rm(work, REMOVE_ALL);
  }
}

/** Notes that `folder` is in use, for {@link removeOld}. */
export async function markUsed(folder: string): Promise<void> {
  const now = new Date();
  await utimes(folder, now, now);
}

/** Removes what was not used for a week from the folder `parent`, half-built remains included. */
export async function removeOld(parent: string): Promise<void> {
  if (!existsSync(parent)) return;
  for (const name of await readdir(parent)) {
    const path = join(parent, name);
    const { mtimeMs } = await stat(path);
    if (Date.now() - mtimeMs > KEEP_MS) await rm(path, REMOVE_ALL);
  }
}
