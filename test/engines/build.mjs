// Builds the C++ programs that test and measure the engines in native/, which need no Node.js.
//
//   node test/engines/build.mjs             the tests, and the fuzzer where clang is installed
//   node test/engines/build.mjs bench       the benchmarks
//
// Builds what is out of date and prints the programs' paths. Objects are rebuilt when the source,
// any header or the command changed.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../..', import.meta.url));
const nativeDir = join(root, 'native');
const outDir = join(root, 'build/engine-tests');
/** The main() of all tests. */
const MAIN = join(root, 'test/engines/main.cc');

const common = ['-std=c++20', '-g', '-Wall', '-Wextra', '-Wpedantic', '-Wshadow', '-Wconversion'];
common.push('-Werror', '-pthread');

const sanitizers = {
  address: ['-fsanitize=address,undefined', '-fno-sanitize-recover=undefined'],
  thread: ['-fsanitize=thread'],
};

/** What each suite is made of: folders of native/, and its own folder of test/. */
export const suites = ['o2dlm', 'fsdlm', 'libdlm', 'simulator'].filter((name) =>
  existsSync(join(root, 'test', name)),
);
const engines = {
  o2dlm: ['o2dlm'],
  fsdlm: ['fsdlm'],
  libdlm: ['libdlm'],
  simulator: ['simulator', 'o2dlm', 'fsdlm'],
};
/** Suites of which the tests of threads run under the thread sanitizer too. */
const threaded = ['o2dlm', 'fsdlm'];

const clang = process.env.CLANGXX ?? 'clang++';
const gcc = process.env.CXX ?? 'g++';

/** Where a suite's program for a sanitizer is, once it is built. */
export const programPath = (suite, sanitizer) => join(outDir, `${suite}-${sanitizer}`, 'tests');
/** The programs that a suite is tested with: `{ sanitizer, files }`. */
export function programsOf(suite) {
  const programs = [{ sanitizer: 'address', wanted: (file) => file.endsWith('_test.cc') }];
  if (threaded.includes(suite)) {
    programs.push({ sanitizer: 'thread', wanted: (file) => file === 'threads_test.cc' });
  }
  return programs;
}

async function probe(compiler, args, source) {
  try {
    const probing = run(compiler, [...args, '-x', 'c++', '-']);
    probing.child.stdin?.on('error', () => {
      // The compiler may be missing or read nothing; its exit tells.
    });
    probing.child.stdin?.end(source);
    await probing;
    return true;
  } catch {
    return false;
  }
}

/** Says what is missing on this machine, or undefined when the tests can be built. */
export async function missingTool() {
  const program = 'int main() { return 0; }\n';
  const probes = [
    [['-fsyntax-only'], `${gcc} (apt-get install g++)`],
    [
      ['-std=c++20', '-fsyntax-only', '-include', 'doctest/doctest.h'],
      'doctest (apt-get install doctest-dev)',
    ],
    [['-fsanitize=address,undefined', '-o', '/dev/null'], 'the address sanitizer runtime'],
    [['-fsanitize=thread', '-o', '/dev/null'], 'the thread sanitizer runtime'],
  ];
  for (const [args, what] of probes) {
    if (!(await probe(gcc, args, program))) return what;
  }
  return undefined;
}

/** Says what is missing to build the fuzzers, or undefined. */
export async function missingFuzzer() {
  const target =
    '#include <cstddef>\n#include <cstdint>\n' +
    'extern "C" int LLVMFuzzerTestOneInput(const uint8_t*, size_t) { return 0; }\n';
  if (!(await probe(clang, ['-fsyntax-only'], target))) return `${clang} (apt-get install clang)`;
  return (await probe(clang, ['-fsanitize=fuzzer,address', '-o', '/dev/null'], target))
    ? undefined
    : "clang's fuzzer runtime (apt-get install libclang-rt-dev)";
}

async function sources(dir, end) {
  if (!existsSync(dir)) return [];
  return (await readdir(dir)).filter((file) => file.endsWith(end)).map((file) => join(dir, file));
}

const engineSources = async (names) =>
  (await Promise.all(names.map((name) => sources(join(nativeDir, name), '.cc')))).flat();

/** Programs of different suites share the objects of what is nobody's own. */
const includesOf = (suite, file) => {
  const isShared = file.startsWith(nativeDir) || file === MAIN;
  const own = isShared ? [] : [`-I${join(nativeDir, suite)}`];
  return [`-I${nativeDir}`, ...own, `-I${join(root, 'test')}`];
};

/**
 * Without optimization the tests are compiled in a third of the time, and run for a few seconds longer. What
 * they test is compiled as its program asks.
 */
const optimizationOf = (file) => (file.endsWith('_test.cc') || file === MAIN ? ['-O0'] : []);

const hashOf = (text) => createHash('sha256').update(text).digest('hex');

/**
 * Compiles and links programs: `{ path, suite, compiler, compile, link, files }`. Rejects with the
 * compiler's output.
 */
async function make(programs) {
  const folders = ['o2dlm', 'fsdlm', 'libdlm', 'simulator', 'util'].map((name) =>
    join(nativeDir, name),
  );
  folders.push(...[...suites, 'engines'].map((name) => join(root, 'test', name)));
  const headers = (await Promise.all(folders.map((dir) => sources(dir, '.h')))).flat().sort();
  const base = createHash('sha256');
  for (const header of headers) base.update(header).update(await readFile(header));

  const compiling = new Map();
  const links = [];
  for (const { path, suite, compiler, compile, link, files } of programs) {
    await mkdir(dirname(path), { recursive: true });
    const objects = [];
    const keys = [];
    for (const file of files) {
      const flags = [...common, ...compile, ...optimizationOf(file), ...includesOf(suite, file)];
      const dir = join(outDir, 'objects', hashOf([compiler, ...flags].join(' ')).slice(0, 16));
      await mkdir(dir, { recursive: true });
      const object = join(dir, relative(root, file).replaceAll('/', '-').replace(/cc$/, 'o'));
      const args = [...flags, '-c', file, '-o', object];
      const key = base
        .copy()
        .update([compiler, ...args].join(' '))
        .update(await readFile(file))
        .digest('hex');
      objects.push(object);
      keys.push(key);
      compiling.set(object, () => ifChanged(object, key, compiler, args));
    }
    links.push([path, keys.join('\n'), compiler, [...link, '-pthread', ...objects, '-o', path]]);
  }
  const jobs = [...compiling.values()];
  const worker = async () => {
    for (let job = jobs.shift(); job !== undefined; job = jobs.shift()) await job();
  };
  await Promise.all(Array.from({ length: availableParallelism() }, worker));
  for (const link of links) await ifChanged(...link);
  return programs.map(({ path }) => path);
}

async function ifChanged(output, key, compiler, args) {
  const stamp = `${output}.key`;
  const old = await readFile(stamp, 'utf8').catch(() => '');
  if (old === key && existsSync(output)) return;
  try {
    await run(compiler, args, { maxBuffer: 1 << 24 });
  } catch (error) {
    throw new Error(`${compiler} ${args.join(' ')}\n${error.stderr ?? error}`, { cause: error });
  }
  await writeFile(stamp, key);
}

/** Builds every suite's test programs, or those of one; resolves to their paths. */
export async function build(only = suites) {
  const programs = [];
  for (const suite of only) {
    const tests = await sources(join(root, 'test', suite), '_test.cc');
    for (const { sanitizer, wanted } of programsOf(suite)) {
      programs.push({
        path: programPath(suite, sanitizer),
        suite,
        compiler: gcc,
        compile: ['-O1', ...sanitizers[sanitizer]],
        link: sanitizers[sanitizer],
        files: [
          ...(await engineSources(engines[suite])),
          ...tests.filter((file) => wanted(file.slice(file.lastIndexOf('/') + 1))),
          MAIN,
        ],
      });
    }
  }
  return make(programs);
}

/** Builds one program for each `<engine>_bench.cc`, compiled as the addon is, without sanitizers. */
export async function buildBenches() {
  const files = await sources(join(root, 'test/engines'), '_bench.cc');
  return make(
    await Promise.all(
      files.map(async (file) => {
        const name = file.slice(file.lastIndexOf('/') + 1, -'.cc'.length);
        const suite = name.slice(0, name.indexOf('_'));
        return {
          path: join(outDir, name),
          suite,
          compiler: gcc,
          compile: ['-O3'],
          link: [],
          files: [...(await engineSources([suite])), file],
        };
      }),
    ),
  );
}

/** Builds one libFuzzer program for each `<engine>_fuzz.cc`. */
export async function buildFuzzers() {
  const files = await sources(join(root, 'test/engines'), '_fuzz.cc');
  return make(
    await Promise.all(
      files.map(async (file) => {
        const name = file.slice(file.lastIndexOf('/') + 1, -'.cc'.length);
        const suite = name.slice(0, name.indexOf('_'));
        const sanitize = ['-fsanitize=fuzzer,address,undefined', '-fno-sanitize-recover=undefined'];
        return {
          path: join(outDir, name),
          suite,
          compiler: clang,
          compile: ['-O1', ...sanitize],
          link: sanitize,
          files: [...(await engineSources([suite])), file],
        };
      }),
    ),
  );
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [what = 'tests'] = process.argv.slice(2);
  if (what === 'bench') {
    console.log((await buildBenches()).join('\n'));
  } else {
    const missing = await missingTool();
    if (missing !== undefined) throw new Error(`cannot build the engine tests: no ${missing}`);
    const wanted = suites.includes(what) ? [what] : suites;
    console.log((await build(wanted)).join('\n'));
    const noFuzzer = await missingFuzzer();
    if (noFuzzer === undefined) console.log((await buildFuzzers()).join('\n'));
    else if (process.env.CI === 'true') throw new Error(`cannot build the fuzzers: no ${noFuzzer}`);
    else console.log(`no fuzzers: ${noFuzzer} is not installed`);
  }
}
