/** Compiles and links the addon and the keeper for one target. */
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { PROJECT_ROOT } from '../vm/paths.js';
import type { Target } from './targets.js';
import { CACHE, type Toolchain } from './toolchain.js';

interface Program {
  readonly sources: readonly string[];
  readonly defines: readonly string[];
}

export const ADDON = 'stackglue.node';
export const KEEPER = 'stackglue-keeper';

/** A source, and the arguments that it is compiled with. */
interface MadeFile {
  readonly file: string;
  readonly flags: readonly string[];
  readonly isApart: boolean;
}

/** What test/support/compile.mjs exports. */
interface Maker {
  readonly apart: RegExp;
  readonly make: (
    programs: readonly {
      path: string;
      compiler: string;
      files: readonly MadeFile[];
      link: readonly string[];
    }[],
  ) => Promise<string[]>;
}

const load = (module: string): Promise<unknown> =>
  import(pathToFileURL(join(PROJECT_ROOT, module)).href);

const { programs } = (await load('native/programs.mjs')) as {
  programs: Record<'stackglue' | 'stackglue-keeper', Program>;
};
const { apart, make } = (await load('test/support/compile.mjs')) as Maker;

/** Node's headers: brought along by this Node, or fetched by node-gyp before. */
function nodeHeaders(): string {
  const cache = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache');
  const found = [
    join(dirname(dirname(process.execPath)), 'include/node'),
    join(cache, 'node-gyp', process.versions.node, 'include/node'),
  ].find((path) => existsSync(join(path, 'node_api.h')));
  if (found === undefined)
    throw new Error("Node's headers are missing: npm run build fetches them");
  return found;
}

const COMMON = [
  '-std=c++20',
  '-O2',
  '-fPIC',
  '-ffunction-sections',
  '-fdata-sections',
  '-fexceptions',
  // No folder of the machine that it was built on.
  `-ffile-prefix-map=${PROJECT_ROOT}=.`,
  '-fno-sanitize=undefined',
  '-fstack-protector-strong',
  '-pthread',
  '-Wall',
  '-Wextra',
  // Found in the compiler's own library.
  '-Wno-nullability-completeness',
  `-I${join(PROJECT_ROOT, 'native')}`,
];

function addonFlags(): string[] {
  const { include_dir: napi } = createRequire(import.meta.url)('node-addon-api') as {
    include_dir: string;
  };
  return [
    '-fvisibility=hidden',
    '-DNODE_GYP_MODULE_NAME=stackglue',
    '-DBUILDING_NODE_EXTENSION',
    '-isystem',
    nodeHeaders(),
    '-isystem',
    napi,
  ];
}

/**
 * The addon shows the functions that Node.js looks for, and nothing else: it brings its own standard library,
 * and Node.js has another one.
 */
export const EXPORTED: readonly string[] = [
  'napi_register_module_v1',
  'node_api_module_get_api_version_v1',
];

/** The compiler for one target, as one program. */
async function compilerFor(target: Target, { compiler, env }: Toolchain): Promise<string> {
  const path = join(CACHE, 'compilers', target.name);
  const set = Object.entries(env).map(([name, value]) => `export ${name}='${value}'\n`);
  const command = `exec '${compiler}' c++ -target ${target.triple} "$@"\n`;
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, `#!/bin/sh\n${set.join('')}${command}`, { mode: 0o755 });
  return path;
}

/** Makes both for `target`; resolves to the folder that they are in. */
export async function compile(target: Target, tools: Toolchain): Promise<string> {
  const folder = join(CACHE, 'made', target.name);
  const exportsFile = join(folder, 'exports.map');
  await mkdir(folder, { recursive: true });
  await writeFile(exportsFile, `{ global: ${EXPORTED.join('; ')}; local: *; };\n`);
  const compiler = await compilerFor(target, tools);
  const filesOf = ({ sources, defines }: Program, flags: readonly string[]): MadeFile[] =>
    sources.map((source) => ({
      file: join(PROJECT_ROOT, source),
      flags: [...COMMON, ...flags, ...defines.map((define) => `-D${define}`)],
      isApart: apart.test(source),
    }));
  const link = ['-s', '-pthread', '-ldl', '-Wl,-z,relro', '-Wl,-z,now', '-Wl,--gc-sections'];
  await make([
    {
      path: join(folder, ADDON),
      compiler,
      files: filesOf(programs.stackglue, addonFlags()),
      link: [
        ...['-shared', ...link, '-Wl,-z,nodelete', '-Wl,-Bsymbolic'],
        `-Wl,--version-script=${exportsFile}`,
      ],
    },
    {
      path: join(folder, KEEPER),
      compiler,
      files: filesOf(programs['stackglue-keeper'], []),
      // It opens the cluster's libraries, so it is no static program, on musl either.
      link: ['-pie', '-dynamic', ...link],
    },
  ]);
  return folder;
}
