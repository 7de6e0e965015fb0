/** The compiler for all targets: zig's clang, libc++ and the stubs of each libc, from npm's registry. */
import { createHash } from 'node:crypto';
import { copyFile, mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { buildOnce } from '../vm/cached.js';
import { withLock } from '../vm/lock.js';
import { PROJECT_ROOT } from '../vm/paths.js';
import { runTool } from '../vm/tools.js';

/** Where the toolchain and what it makes is kept. */
export const CACHE = join(PROJECT_ROOT, '.cache', 'prebuild');

const PINNED = join(PROJECT_ROOT, 'scripts/prebuild/toolchain');
const FILES = ['package.json', 'package-lock.json'] as const;

export interface Toolchain {
  readonly compiler: string;
  readonly env: Readonly<Record<string, string>>;
}

/**
 * Downloads the toolchain, unless it is here. npm compares it with the lock file's hashes, and runs no script
 * of it.
 */
export async function toolchain(): Promise<Toolchain> {
  if (process.arch !== 'x64') {
    throw new Error(
      `The compiler for prebuilt binaries is pinned for x64, not for ${process.arch}`,
    );
  }
  const lock = await readFile(join(PINNED, 'package-lock.json'));
  const hash = createHash('sha256').update(lock).digest('hex').slice(0, 12);
  const folder = join(CACHE, `toolchain-${hash}`);
  await mkdir(CACHE, { recursive: true });
  await withLock(join(CACHE, 'lock'), () =>
    buildOnce(folder, async (work) => {
      for (const file of FILES) await copyFile(join(PINNED, file), join(work, file));
      await runTool('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: work });
    }),
  );
  const packages = join(folder, 'node_modules/@zigc');
  const cache = join(CACHE, 'zig');
  return {
    compiler: join(packages, 'linux-x64/bin/zig'),
    env: {
      ZIG_LIB_DIR: join(packages, 'lib'),
      ZIG_GLOBAL_CACHE_DIR: cache,
      ZIG_LOCAL_CACHE_DIR: cache,
    },
  };
}
