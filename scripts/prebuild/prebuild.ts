/** Makes the binaries of targets, and checks them. */
import { existsSync } from 'node:fs';
import { chmod, copyFile, mkdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { withLock } from '../vm/lock.js';
import { PROJECT_ROOT } from '../vm/paths.js';
import { faultsOf } from './check.js';
import { ADDON, compile, EXPORTED, KEEPER } from './compile.js';
import { areSumsRight, writeSums } from './sums.js';
import { TARGETS, type Target } from './targets.js';
import { CACHE, toolchain } from './toolchain.js';

/** Where the package has them. */
export const PREBUILDS = join(PROJECT_ROOT, 'prebuilds');

/** Runs `work` while nobody else replaces or packs what is in {@link PREBUILDS}. */
export function withPrebuilds<T>(work: () => Promise<T>): Promise<T> {
  return withLock(join(CACHE, 'prebuilds.lock'), work);
}

/** Puts what was made for `target` into its folder. */
async function place(made: string, target: Target): Promise<void> {
  const folder = join(PREBUILDS, target.name);
  await mkdir(folder, { recursive: true });
  for (const [file, mode] of [
    [ADDON, 0o644],
    [KEEPER, 0o755],
  ] as const) {
    // Another file, not other bytes: who runs the old one goes on with it.
    const fresh = join(folder, `.${file}`);
    await copyFile(join(made, file), fresh);
    await chmod(fresh, mode);
    await rename(fresh, join(folder, file));
  }
  await writeSums(PREBUILDS);
}

/** What is wrong with the two files of `target` in `folder`, a sentence each. */
async function faultsIn(folder: string, target: Target): Promise<string[]> {
  const faults: string[] = [];
  for (const [file, shown] of [
    [ADDON, EXPORTED],
    [KEEPER, undefined],
  ] as const) {
    const path = join(folder, file);
    if (!existsSync(path)) {
      faults.push(`${target.name}/${file}: is missing`);
      continue;
    }
    for (const fault of await faultsOf(path, target, shown)) {
      faults.push(`${target.name}/${file}: ${fault}`);
    }
    if (file === KEEPER && ((await stat(path)).mode & 0o111) !== 0o111) {
      faults.push(`${target.name}/${file}: may not be run by everybody`);
    }
  }
  return faults;
}

/** The same of all targets, as the package has them, and of their checksums. */
export async function checkPrebuilds(targets: readonly Target[] = TARGETS): Promise<string[]> {
  const faults: string[] = [];
  for (const target of targets) {
    faults.push(...(await faultsIn(join(PREBUILDS, target.name), target)));
  }
  if (faults.length === 0 && !(await areSumsRight(PREBUILDS))) {
    faults.push('SHA256SUMS is not of these files');
  }
  return faults;
}

/**
 * Makes both files for each of `targets`, in prebuilds/. What does not pass the check does not get there.
 *
 * @throws {Error} with the compiler's words, or with what is wrong with a file.
 */
export async function prebuild(targets: readonly Target[]): Promise<void> {
  const tools = await toolchain();
  await withLock(join(CACHE, 'lock'), async () => {
    for (const target of targets) {
      const made = await compile(target, tools);
      const faults = await faultsIn(made, target);
      if (faults.length > 0) throw new Error(faults.join('\n'));
      await withPrebuilds(() => place(made, target));
    }
  });
}

/** Removes all of them, so that none is left of what is no target any more. */
export async function removePrebuilds(): Promise<void> {
  await rm(PREBUILDS, { recursive: true, force: true });
}
