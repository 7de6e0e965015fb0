/** The compiler for all targets: zig's clang, libc++ and the stubs of each libc, from npm's registry. */
import { join } from 'node:path';

import { installPinned } from '../pinned.js';
import { PROJECT_ROOT } from '../vm/paths.js';

/** Where what is made is kept. */
export const CACHE = join(PROJECT_ROOT, '.cache', 'prebuild');

export interface Toolchain {
  readonly compiler: string;
  readonly env: Readonly<Record<string, string>>;
}

/** Downloads the toolchain, unless it is here. */
export async function toolchain(): Promise<Toolchain> {
  if (process.arch !== 'x64') {
    throw new Error(
      `The compiler for prebuilt binaries is pinned for x64, not for ${process.arch}`,
    );
  }
  const packages = join(await installPinned('scripts/prebuild/toolchain'), '@zigc');
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
