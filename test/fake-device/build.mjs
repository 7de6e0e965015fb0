// Builds the addon, the keeper and the fake machine of test/fake-device.
//
//   node test/fake-device/build.mjs [address | thread]
//
// Builds what is out of date, and prints the folders of the packages: each is a stackglue of its own, with
// an addon and a keeper under that sanitizer, whose scripts are those of dist/.
import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';

import {
  apart,
  debuggable,
  engineFlags,
  gcc,
  make,
  nativeDir,
  probe,
} from '../support/compile.mjs';
import { sanitizers, sources } from '../support/compile.mjs';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../..', import.meta.url));
const here = join(root, 'test/fake-device/native');
const outDir = join(root, '.cache/fake-device');

export const kinds = Object.keys(sanitizers);
/** A package's folder. */
export const packageOf = (sanitizer) => join(outDir, sanitizer);
/** The doubles of the cluster's libraries, for the loader's search path. */
export const libraryDir = join(outDir, 'lib');
/** The program that plays kernel and dlm_controld. */
export const machinePath = join(outDir, 'machine');

/** How the addon is linked. */
const onlyOwn = ['-Wl,-z,nodelete', '-Wl,-Bsymbolic-functions'];

/** Node's own headers; undefined where node-gyp has not fetched them either. */
function nodeHeaders() {
  const cache = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache');
  return [
    join(dirname(dirname(process.execPath)), 'include/node'),
    join(cache, 'node-gyp', process.versions.node, 'include/node'),
  ].find((path) => existsSync(join(path, 'node_api.h')));
}

/** Where the compiler has the runtime of a sanitizer. */
async function runtimeOf(sanitizer) {
  const name = sanitizer === 'address' ? 'libasan.so' : 'libtsan.so';
  const { stdout } = await run(gcc, [`-print-file-name=${name}`]);
  return stdout.trim();
}

/**
 * What is to be preloaded into a stock Node.js that is to load a package's addon: a sanitizer's runtime has to
 * be there first, and then what plays write(2) to a lockspace's device.
 */
export const preloadsOf = async (sanitizer) => [
  await runtimeOf(sanitizer),
  join(libraryDir, 'device_write.so'),
];

/**
 * The same for a program whose allocations are to fail when it says so: that comes before the runtime, which
 * has an operator new, too.
 */
export const preloadsWithoutMemory = async (sanitizer) => [
  join(libraryDir, 'failing_new.so'),
  ...(await preloadsOf(sanitizer)),
];

/** Says what is missing on this machine for a sanitizer, or undefined. */
export async function missingTool(sanitizer) {
  const program = 'int main() { return 0; }\n';
  const probes = [
    [['-std=c++20', '-fsyntax-only'], `${gcc} (apt-get install g++)`],
    [[...sanitizers[sanitizer], '-o', '/dev/null'], `the ${sanitizer} sanitizer's runtime`],
  ];
  for (const [args, what] of probes) {
    if (!(await probe(gcc, args, program))) return what;
  }
  if (nodeHeaders() === undefined) return "Node's headers (npm run build)";
  const env = { ...process.env, LD_PRELOAD: await runtimeOf(sanitizer) };
  return run(process.execPath, ['-e', '0'], { env }).then(
    () => undefined,
    (error) => `Node.js that runs with the ${sanitizer} sanitizer preloaded: ${error.message}`,
  );
}

const filesOf = async (folders, flags) =>
  (await Promise.all(folders.map((name) => sources(join(nativeDir, name), '.cc'))))
    .flat()
    .map((file) => ({ file, flags, isApart: apart.test(file) }));

/** The addon and the keeper under one sanitizer. */
async function programsOf(sanitizer) {
  const { include } = createRequire(import.meta.url)('node-addon-api');
  const common = ['-std=c++20', ...debuggable, '-Wall', '-Wextra'];
  common.push('-Werror', ...sanitizers[sanitizer], `-I${nativeDir}`);
  common.push('-include', join(here, 'host_root.h'));
  // What orders the fences (kernel/submitter.cc) is who sleeps, and no memory: that is by acquire and release.
  if (sanitizer === 'thread') common.push('-Wno-tsan');
  const onNode = [...common, '-isystem', nodeHeaders(), '-isystem', include.replaceAll('"', '')];
  onNode.push('-DNAPI_VERSION=8', '-DNODE_ADDON_API_DISABLE_CPP_EXCEPTIONS');
  onNode.push('-DNODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS', '-DNODE_GYP_MODULE_NAME=stackglue');
  onNode.push('-DBUILDING_NODE_EXTENSION');
  const kernel = await filesOf(['kernel'], common);
  const release = join(packageOf(sanitizer), 'build/Release');
  return [
    {
      path: join(release, 'stackglue.node'),
      compiler: gcc,
      // As in native/targets.gypi: what is node's of the standard library's templates is under no sanitizer.
      link: ['-shared', '-pthread', ...onlyOwn, ...sanitizers[sanitizer]],
      files: [
        { file: join(nativeDir, 'addon.cc'), flags: onNode },
        ...(await filesOf(['binding'], onNode)),
        ...(await filesOf(['emulation', 'order', 'user'], common)),
        ...kernel,
        ...(await filesOf(['o2dlm', 'fsdlm', 'simulator'], engineFlags(sanitizer))),
      ],
    },
    {
      path: join(release, 'planted/stackglue.node'),
      compiler: gcc,
      link: ['-shared', '-pthread', ...sanitizers[sanitizer]],
      files: [{ file: join(here, 'planted.cc'), flags: onNode }],
    },
    {
      path: join(release, 'memory.node'),
      compiler: gcc,
      link: ['-shared', '-ldl'],
      files: [{ file: join(here, 'memory.cc'), flags: onNode }],
    },
    {
      path: join(release, 'stackglue-keeper'),
      compiler: gcc,
      link: ['-pthread', ...sanitizers[sanitizer]],
      files: [
        ...(await filesOf(['keeper'], common)),
        ...kernel.filter(({ file }) => /\/(device_protocol|submitter)\.cc$/.test(file)),
      ],
    },
  ];
}

/** The fake machine, and the libraries by which it is seen; under no sanitizer. */
async function machinePrograms() {
  const flags = ['-std=c++20', ...debuggable, '-Wall', '-Wextra', '-Werror'];
  flags.push(`-I${nativeDir}`, `-I${here}`);
  const library = (name, file) => ({
    path: join(libraryDir, name),
    compiler: gcc,
    link: ['-shared', '-ldl'],
    files: [{ file, flags }],
  });
  return [
    {
      path: machinePath,
      compiler: gcc,
      link: [],
      files: (await sources(join(here, 'machine'), '.cc')).map((file) => ({ file, flags })),
    },
    library('libdlm_lt.so.3', join(here, 'libdlm.cc')),
    library('libdlmcontrol.so.3', join(here, 'libdlmcontrol.cc')),
    library('libquorum.so.5', join(here, 'libquorum.cc')),
    library('device_write.so', join(here, 'device_write.cc')),
    library('failing_new.so', join(here, 'failing_new.cc')),
  ];
}

/** Builds what these sanitizers need; resolves to the packages' folders. */
export async function build(wanted = kinds) {
  const programs = [...(await machinePrograms())];
  for (const sanitizer of wanted) programs.push(...(await programsOf(sanitizer)));
  await make(programs);
  for (const sanitizer of wanted) fillPackage(packageOf(sanitizer));
  return wanted.map(packageOf);
}

/** What is beside the addon: copies, because a script that is linked to is taken for the original. */
function fillPackage(folder) {
  mkdirSync(folder, { recursive: true });
  rmSync(join(folder, 'dist'), { recursive: true, force: true });
  cpSync(join(root, 'dist'), join(folder, 'dist'), { recursive: true });
  cpSync(join(root, 'package.json'), join(folder, 'package.json'));
  rmSync(join(folder, 'node_modules'), { force: true });
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const named = process.argv.slice(2).filter((name) => kinds.includes(name));
  console.log((await build(named.length > 0 ? named : kinds)).join('\n'));
}
