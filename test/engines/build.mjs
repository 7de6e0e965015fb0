// Builds the C++ programs that test and measure the engines in native/, which need no Node.js.
//
//   node test/engines/build.mjs             the tests, and the fuzzer where clang is installed
//   node test/engines/build.mjs bench       the benchmarks
//
// Builds what is out of date and prints the programs' paths.
import { existsSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

import { debuggable, engineFlags, gcc, make, nativeDir, probe } from '../support/compile.mjs';
import { sanitizers, sources, strict } from '../support/compile.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const outDir = join(root, '.cache/engine-tests');
/** The main() of all tests. */
const MAIN = join(root, 'test/engines/main.cc');

/** What each suite is made of: folders of native/, and its own folder of test/. */
export const suites = ['o2dlm', 'fsdlm', 'order', 'user', 'kernel', 'simulator'].filter((name) =>
  existsSync(join(root, 'test', name)),
);
const engines = {
  o2dlm: ['o2dlm'],
  fsdlm: ['fsdlm'],
  order: ['order'],
  user: ['user', 'order'],
  kernel: ['kernel', 'user', 'order'],
  simulator: ['simulator', 'o2dlm', 'fsdlm'],
};
/** What a suite takes of another folder, led into a folder of the test's own by the header in front. */
const ledAside = {
  order: {
    header: join(root, 'test/order/host_root.h'),
    files: ['lockspace_watch.cc', 'membership.cc', 'loop_inotify.cc'].map((name) =>
      join(nativeDir, 'kernel', name),
    ),
  },
};
/** Suites of which the tests of threads run under the thread sanitizer too. */
const threaded = ['o2dlm', 'fsdlm'];

const clang = process.env.CLANGXX ?? 'clang++';

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

const engineSources = async (names) =>
  (await Promise.all(names.map((name) => sources(join(nativeDir, name), '.cc')))).flat();

/** Programs of different suites share the objects of what is nobody's own. */
const includesOf = (suite, file) => {
  const isShared = file.startsWith(nativeDir) || file === MAIN;
  const own = isShared ? [] : [`-I${join(nativeDir, suite)}`];
  return [`-I${nativeDir}`, ...own, `-I${join(root, 'test')}`];
};

/** Files of a suite, all compiled with these flags. */
const filesOf = (suite, files, compile) =>
  files.map((file) => ({ file, flags: [...strict, ...compile, ...includesOf(suite, file)] }));

/** A suite's test program for a sanitizer. */
async function testProgram(suite, { sanitizer, wanted }) {
  const flags = engineFlags(sanitizer);
  // test/order.test.ts puts faults into them, one after the other.
  const isApart = suite === 'order';
  const engine = (await engineSources(engines[suite])).map((file) => ({ file, flags, isApart }));
  const tests = await sources(join(root, 'test', suite), '_test.cc');
  const own = tests.filter((file) => wanted(file.slice(file.lastIndexOf('/') + 1)));
  const { header, files: led } = ledAside[suite] ?? { files: [] };
  return {
    path: programPath(suite, sanitizer),
    compiler: gcc,
    link: [...sanitizers[sanitizer], '-pthread'],
    files: [
      ...engine,
      ...led.map((file) => ({ file, flags: [...flags, '-include', header], isApart })),
      ...filesOf(suite, own, [...debuggable, ...sanitizers[sanitizer]]),
      // One for all: doctest itself is not what is tested.
      ...filesOf(suite, [MAIN], debuggable),
    ],
  };
}

/** Builds every suite's test programs, or those of one; resolves to their paths. */
export async function build(only = suites) {
  const programs = only.flatMap((suite) =>
    programsOf(suite).map((program) => testProgram(suite, program)),
  );
  return make(await Promise.all(programs));
}

/**
 * Builds a suite's program with other files in place of some of native/, by their paths there; what else it
 * is made of is that of the suite. Resolves to its path.
 */
export async function buildWith(suite, path, replacements) {
  const [program] = programsOf(suite);
  const { files, ...rest } = await testProgram(suite, program);
  const replaced = files.map(({ file, ...how }) => ({
    file: replacements[relative(nativeDir, file)] ?? file,
    ...how,
  }));
  const [built] = await make([{ ...rest, path, files: replaced }]);
  return built;
}

/** Builds one program of an engine for each `<engine>_<kind>.cc`. */
async function buildOnEngines(kind, compiler, compile, link) {
  const files = await sources(join(root, 'test/engines'), `_${kind}.cc`);
  return make(
    await Promise.all(
      files.map(async (file) => {
        const name = file.slice(file.lastIndexOf('/') + 1, -'.cc'.length);
        const suite = name.slice(0, name.indexOf('_'));
        const all = [...(await engineSources([suite])), file];
        return {
          path: join(outDir, name),
          compiler,
          link: [...link, '-pthread'],
          files: filesOf(suite, all, compile),
        };
      }),
    ),
  );
}

/** Builds one program for each `<engine>_bench.cc`, compiled as the addon is, without sanitizers. */
export const buildBenches = () => buildOnEngines('bench', gcc, ['-O3'], []);

/** Builds one libFuzzer program for each `<engine>_fuzz.cc`. */
export function buildFuzzers() {
  const sanitize = ['-fsanitize=fuzzer,address,undefined', '-fno-sanitize-recover=undefined'];
  return buildOnEngines('fuzz', clang, ['-g1', '-O1', ...sanitize], sanitize);
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
