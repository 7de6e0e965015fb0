/** The Debian packages that tests need on the host, and what for. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { missingHostPackages } from '../vm/index.js';
import { PROJECT_ROOT } from '../vm/paths.js';
import { findTool } from '../vm/tools.js';
import { filesOf, parse } from './command-line.js';
import { foreignProcessor, needsMachines } from './selection.js';

/** A package that is missing, and why it is wanted. */
export interface Need {
  readonly debianPackage: string;
  readonly purpose: string;
}

interface Builder {
  missingTool(): Promise<string | undefined>;
  missingFuzzer(): Promise<string | undefined>;
}

interface Wanted extends Need {
  /** The files of tests that need it. */
  readonly files: RegExp;
  readonly isMissing: () => boolean | Promise<boolean>;
}

/** By compiling: where a compiler keeps what it needs differs from one version to the next. */
async function builder(): Promise<Builder> {
  const path = join(PROJECT_ROOT, 'test/engines/build.mjs');
  return (await import(pathToFileURL(path).href)) as Builder;
}

async function lacksFuzzer(): Promise<boolean> {
  return (await (await builder()).missingFuzzer()) !== undefined;
}

const WANTED: readonly Wanted[] = [
  {
    debianPackage: 'clang-format',
    purpose: 'to check the format of C and C++ sources',
    files: /\/house\//,
    isMissing: () => findTool('clang-format') === undefined,
  },
  {
    debianPackage: 'doctest-dev',
    purpose: 'for the C++ tests of the engines',
    files: /\/engines\.test/,
    isMissing: async () => (await (await builder()).missingTool())?.includes('doctest') ?? false,
  },
  {
    debianPackage: 'clang',
    purpose: 'to fuzz the engines',
    files: /\/engines\.test/,
    isMissing: lacksFuzzer,
  },
  {
    debianPackage: 'libclang-rt-dev',
    purpose: 'to fuzz the engines',
    files: /\/engines\.test/,
    isMissing: lacksFuzzer,
  },
  {
    debianPackage: 'strace',
    purpose: 'to count system calls in the benchmarks',
    files: /\/bench\/native/,
    isMissing: () => findTool('strace') === undefined,
  },
  {
    debianPackage: 'util-linux',
    purpose: 'to give the benchmarks their processors',
    files: /\/bench\/native/,
    isMissing: () => findTool('taskset') === undefined,
  },
  {
    debianPackage: 'mmdebstrap',
    purpose: 'to install the package on a bare Debian',
    files: /\/package\/bare-debian/,
    isMissing: () => findTool('mmdebstrap') === undefined,
  },
  {
    debianPackage: 'bubblewrap',
    purpose: 'to use the package where nothing else is',
    files: /\/package\/(bare-debian|musl)/,
    isMissing: () => findTool('bwrap') === undefined,
  },
  {
    debianPackage: 'musl',
    purpose: 'to use the package with this libc',
    files: /\/package\/musl/,
    isMissing: () => !existsSync('/lib/ld-musl-x86_64.so.1'),
  },
  {
    debianPackage: 'libdlm-dev',
    purpose: 'for C programs that use the DLM',
    files: /\/vm\/|\/bench\//,
    isMissing: () => !existsSync('/usr/include/libdlm.h'),
  },
];

/**
 * What the tests chosen by a command line need and this host lacks.
 *
 * @throws {RangeError} as filesOf.
 */
export async function missingNeeds(args: readonly string[]): Promise<Need[]> {
  const { files } = filesOf(parse(args));
  const needs: Need[] = [];
  for (const { debianPackage, purpose, files: wantedBy, isMissing } of WANTED) {
    if (files.some((file) => wantedBy.test(file)) && (await isMissing())) {
      needs.push({ debianPackage, purpose });
    }
  }
  if (files.some(needsMachines)) {
    const purpose = 'for virtual machines';
    const processors = new Set(files.filter(needsMachines).map(foreignProcessor));
    const missing = [...processors].flatMap((processor) => missingHostPackages(processor));
    needs.push(...[...new Set(missing)].map((debianPackage) => ({ debianPackage, purpose })));
  }
  return needs;
}
