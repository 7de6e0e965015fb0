/**
 * Bun for musl, and a root folder in which nothing is but what it needs. npm has no Node.js for musl; and Bun's
 * takes libstdc++ from the system, which Debian has for glibc only. So the functions of it that Bun asks for are
 * taken out of Debian's archive, for which musl has nearly all that they need (musl-libstdcxx.c).
 */
import { copyFileSync, existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';

import { installPinned } from '../../scripts/pinned.js';
import { PROJECT_ROOT } from '../../scripts/vm/paths.js';
import { findTool, runTool } from '../../scripts/vm/tools.js';
import { furnish, type Room } from './room.js';

/** musl itself, which is a program's loader and its C library. */
const MUSL = '/lib/ld-musl-x86_64.so.1';
/** The functions and classes of libstdc++ and of the C++ ABI, but those that C libraries have. */
const OF_LIBSTDCXX = /^(_ZN?K?St|_ZTVN10__cxxabiv1|__cxa_|__dynamic_cast$|__once_proxy$)/;
const OF_LIBC = /^__cxa_(thread_)?atexit|^__cxa_finalize$/;

const SHIM = join(PROJECT_ROOT, 'test/package/musl-libstdcxx.c');

/** Why nothing for musl runs on this machine; undefined where it does. */
export async function whyNoMusl(): Promise<string | undefined> {
  if (!existsSync(MUSL)) return 'musl is missing (apt-get install musl)';
  if (findTool('gcc') === undefined) return 'gcc is missing (apt-get install g++)';
  const archive = await runTool('gcc', ['-print-file-name=libstdc++.a']);
  return archive.includes('/') ? undefined : 'libstdc++.a is missing (apt-get install g++)';
}

/** Links what `program` needs of libstdc++. */
async function linkLibstdcxx(program: string, path: string): Promise<void> {
  const table = await runTool('readelf', ['-W', '--dyn-syms', program]);
  const names = [...table.matchAll(/ (\S+)$/gm)].map(([, name = '']) => name);
  const wanted = names.filter((name) => OF_LIBSTDCXX.test(name) && !OF_LIBC.test(name));
  await runTool('gcc', [
    ...['-O2', '-fPIC', '-shared', '-nostdlib', SHIM, '-o', path],
    ...[...new Set(wanted)].map((name) => `-Wl,--undefined=${name}`),
    ...['-Wl,--start-group', '-l:libstdc++.a', '-l:libgcc_eh.a', '-l:libgcc.a', '-Wl,--end-group'],
    ...['-Wl,--gc-sections', '-Wl,-z,now'],
  ]);
}

/** Makes a room in `folder` whose only libc is musl, and in which `bun` runs. */
export async function muslRoom(folder: string): Promise<Omit<Room, 'own'>> {
  const tools = await installPinned('scripts/release/tools-musl', { isOtherLibc: true });
  const bun = join(tools, '@oven/bun-linux-x64-musl-baseline/bin');
  const root = join(folder, 'root');
  furnish(root, ['bun']);
  mkdirSync(join(root, 'lib'));
  copyFileSync(MUSL, join(root, MUSL));
  await linkLibstdcxx(join(bun, 'bun'), join(root, 'lib/libstdc++.so.6'));
  return { root, tools: { bun }, env: { PATH: '/opt/bun', HOME: '/tmp' } };
}
