/** The guest's Node.js, on a disk of its own: a copy of the host's, or of npm's for another processor. */

import { readFileSync, statSync } from 'node:fs';
import { chmod, copyFile, mkdir, realpath, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';

import { installPinned } from '../pinned.js';
import { isForeign, type Architecture } from './architecture.js';
import { PROJECT_ROOT } from './paths.js';
import { runTool } from './tools.js';

/** A lock file of its own: nobody downloads it who does not boot such a guest. */
const pinnedFor = (architecture: Architecture): string => `scripts/vm/node-${architecture}`;

/** What the disk for guests with this processor is made of. */
export function nodeIdentity(architecture: Architecture): string[] {
  if (isForeign(architecture)) {
    return [readFileSync(join(PROJECT_ROOT, pinnedFor(architecture), 'package-lock.json'), 'utf8')];
  }
  const { size, mtimeMs } = statSync(process.execPath);
  return [process.version, process.execPath, String(size), String(mtimeMs)];
}

/**
 * Makes `node.ext4` in the folder `work`: a file system with Node.js in `bin`, and in `lib` every library that
 * the host's needs. npm's needs none that a guest does not have anyway.
 */
export async function buildNodeDisk(work: string, architecture: Architecture): Promise<void> {
  const tree = join(work, 'tree');
  await mkdir(join(tree, 'bin'), { recursive: true });
  await mkdir(join(tree, 'lib'));
  const program = await nodeFor(architecture);
  await copyFile(program, join(tree, 'bin', 'node'));
  await chmod(join(tree, 'bin', 'node'), 0o755);
  if (!isForeign(architecture)) await copyLibraries(program, join(tree, 'lib'));
  const size = Number((await runTool('du', ['-sk', tree])).split('\t')[0]);
  const sizeWithTables = `${Math.ceil(size * 1.1) + 8 * 1024}k`;
  await runTool('mke2fs', [
    ...['-q', '-t', 'ext4', '-O', '^has_journal', '-m', '0', '-d', tree],
    ...[join(work, 'node.ext4'), sizeWithTables],
  ]);
  await rm(tree, { recursive: true });
}

async function nodeFor(architecture: Architecture): Promise<string> {
  if (!isForeign(architecture)) return process.execPath;
  const packages = await installPinned(pinnedFor(architecture), { cpu: architecture });
  return join(packages, `node-linux-${architecture}`, 'bin', 'node');
}

async function copyLibraries(program: string, folder: string): Promise<void> {
  const listing = await runTool('ldd', [program]);
  for (const [, path] of listing.matchAll(/=> (\/\S+)/g)) {
    if (path) await copyFile(await realpath(path), join(folder, basename(path)));
  }
}
