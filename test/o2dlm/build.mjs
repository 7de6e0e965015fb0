// Builds the engine tests with g++: one program under the address and undefined-behaviour
// sanitizers, one with the threads tests under the thread sanitizer.
//
//   node test/o2dlm/build.mjs          builds what is out of date and prints the programs' paths
//
// Objects are rebuilt when the source, any header or the command changed.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { basename, join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../..', import.meta.url));
const engineDir = join(root, 'native/o2dlm');
const testDir = join(root, 'test/o2dlm');
const outDir = join(root, 'build/o2dlm-tests');
const compiler = process.env.CXX ?? 'g++';

const common = ['-std=c++20', '-g', '-O1', '-Wall', '-Wextra', '-Wpedantic', '-Wshadow'];
const includes = ['-Wconversion', '-Werror', '-pthread', `-I${engineDir}`];
const programs = [
  {
    name: 'address',
    sanitize: ['-fsanitize=address,undefined', '-fno-sanitize-recover=undefined'],
    wanted: () => true,
  },
  {
    name: 'thread',
    sanitize: ['-fsanitize=thread'],
    wanted: (file) => file === 'main.cc' || file === 'threads_test.cc',
  },
];

/** Says what is missing on this machine, or undefined when the tests can be built. */
export async function missingTool() {
  const probes = [
    [['--version'], `${compiler} (apt-get install g++)`],
    [
      ['-std=c++20', '-fsyntax-only', '-include', 'doctest/doctest.h'],
      'doctest (apt-get install doctest-dev)',
    ],
    [['-fsanitize=address,undefined', '-o', '/dev/null'], 'the address sanitizer runtime'],
    [['-fsanitize=thread', '-o', '/dev/null'], 'the thread sanitizer runtime'],
  ];
  for (const [args, what] of probes) {
    try {
      const probing = run(compiler, args[0] === '--version' ? args : [...args, '-x', 'c++', '-']);
      probing.child.stdin?.on('error', () => {
        // The compiler may be missing or read nothing; its exit tells.
      });
      probing.child.stdin?.end('int main() { return 0; }\n');
      await probing;
    } catch {
      return what;
    }
  }
  return undefined;
}

/** Paths of the two programs. */
export const programPath = {
  address: join(outDir, 'address/tests'),
  thread: join(outDir, 'thread/tests'),
};

/** Builds what is out of date. Rejects with the compiler's output. */
export async function build() {
  const sources = async (dir, ext) =>
    (await readdir(dir)).filter((file) => file.endsWith(ext)).map((file) => join(dir, file));
  const headers = [...(await sources(engineDir, '.h')), ...(await sources(testDir, '.h'))].sort();
  const base = createHash('sha256');
  for (const header of headers) base.update(header).update(await readFile(header));

  const jobs = [];
  const links = [];
  for (const { name, sanitize, wanted } of programs) {
    const dir = join(outDir, name);
    await mkdir(dir, { recursive: true });
    const files = [
      ...(await sources(engineDir, '.cc')),
      ...(await sources(testDir, '.cc')).filter((file) => wanted(basename(file))),
    ];
    const objects = [];
    const keys = [];
    for (const file of files) {
      const object = join(dir, relative(root, file).replaceAll('/', '-').replace(/cc$/, 'o'));
      const args = [...common, ...includes, ...sanitize, '-c', file, '-o', object];
      const key = base
        .copy()
        .update(args.join(' '))
        .update(await readFile(file))
        .digest('hex');
      objects.push(object);
      keys.push(key);
      jobs.push(() => ifChanged(object, key, args));
    }
    const program = programPath[name];
    links.push([program, keys.join('\n'), [...sanitize, '-pthread', ...objects, '-o', program]]);
  }
  const worker = async () => {
    for (let job = jobs.shift(); job !== undefined; job = jobs.shift()) await job();
  };
  await Promise.all(Array.from({ length: availableParallelism() }, worker));
  for (const link of links) await ifChanged(...link);
}

async function ifChanged(output, key, args) {
  const stamp = `${output}.key`;
  const old = await readFile(stamp, 'utf8').catch(() => '');
  if (old === key) return;
  try {
    await run(compiler, args, { maxBuffer: 1 << 24 });
  } catch (error) {
    throw new Error(`${compiler} ${args.join(' ')}\n${error.stderr ?? error}`, { cause: error });
  }
  await writeFile(stamp, key);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const missing = await missingTool();
  if (missing !== undefined) throw new Error(`cannot build the engine tests: no ${missing}`);
  await build();
  console.log(Object.values(programPath).join('\n'));
}
