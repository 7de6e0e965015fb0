// Compiles and links C and C++ programs of the tests, those of them that are out of date.
//
// An object is compiled again when its source, a header that it includes (but for the system's), or the
// command has changed; it is one for all programs that ask for it with the same command. Most of a small
// source's time goes into the headers that it includes, so what a program takes of one folder, with one
// command, is one translation unit; that each source also compiles by itself, the addon's own build shows.
// One process makes something at a time: what another is at need not be made twice, and is whole when it is used.
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
// Not in build/, which node-gyp empties.
const objectsDir = join(root, '.cache/test-objects');

export const nativeDir = join(root, 'native');
export const gcc = process.env.CXX ?? 'g++';

/** What native/ is compiled with for a sanitizer: objects of several builds are the same then. */
export const sanitizers = {
  address: ['-fsanitize=address,undefined', '-fno-sanitize-recover=undefined'],
  thread: ['-fsanitize=thread'],
};
// Reports name functions and lines, which -g1 is enough for. Without optimization the sanitizers' code is
// compiled in a third of the time, and runs for some seconds longer.
export const debuggable = ['-g1', '-O0', '-fPIC'];
export const strict = ['-std=c++20', '-Wall', '-Wextra', '-Wpedantic', '-Wshadow'];
strict.push('-Wconversion', '-Werror', '-pthread');
/**
 * What of native/ has names that another file of its folder has, too: for the other lockspace, and in files that
 * share nothing. Two of the keeper's have types of their own behind a header's.
 */
export const apart = /\/(binding\/user_connection|keeper\/(opener|sentry))\.cc$/;
/** Of an engine, for a sanitizer; for programs and shared libraries alike. */
export const engineFlags = (sanitizer) => [
  ...[...strict, ...debuggable, ...sanitizers[sanitizer], `-I${nativeDir}`],
];

/** Whether a compiler takes these arguments and this source. */
export async function probe(compiler, args, source) {
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

/** The files of a folder, if there is one, whose names end so. */
export async function sources(dir, end) {
  if (!existsSync(dir)) return [];
  return (await readdir(dir)).filter((file) => file.endsWith(end)).map((file) => join(dir, file));
}

const hashOf = (text) => createHash('sha256').update(text).digest('hex');

/**
 * Makes programs, each `{ path, compiler, link, files }`: `files` are `{ file, flags, isApart }`, `link` the
 * arguments with which their objects are linked. What `isApart` is no part of a folder's unit: it is replaced
 * now and then, and what is beside it need not be compiled again then. Rejects with the compiler's output.
 */
export async function make(programs) {
  await mkdir(objectsDir, { recursive: true });
  const { withLock } = await import(pathToFileURL(join(root, 'dist/scripts/vm/lock.js')).href);
  return withLock(join(objectsDir, 'lock'), () => makeAlone(programs));
}

async function makeAlone(programs) {
  const compiling = new Map();
  const links = [];
  for (const { path, compiler, link, files } of programs) {
    await mkdir(dirname(path), { recursive: true });
    const objects = (await unitsOf(files)).map(({ file, flags }) => {
      const dir = join(objectsDir, hashOf([compiler, ...flags].join(' ')).slice(0, 16));
      const name = relative(root, file).replaceAll('/', '-');
      const object = join(dir, name.replace(/\.[^.]+$/, '.o'));
      compiling.set(object, () => compile(object, compiler, [...flags, '-c', file]));
      return object;
    });
    links.push({ path, compiler, objects, args: [...objects, ...link, '-o', path] });
  }
  const jobs = [...compiling.values()];
  const worker = async () => {
    for (let job = jobs.shift(); job !== undefined; job = jobs.shift()) await job();
  };
  await Promise.all(Array.from({ length: availableParallelism() }, worker));
  for (const { path, compiler, objects, args } of links) {
    const keys = await Promise.all(objects.map((object) => readFile(`${object}.key`, 'utf8')));
    const key = hashOf([compiler, ...args, ...keys].join('\n'));
    if (await isMade(path, key)) continue;
    await tool(compiler, args);
    await writeFile(`${path}.key`, key);
  }
  return programs.map(({ path }) => path);
}

/** What is to be compiled for these files: a source that includes them, for those of one folder and command. */
async function unitsOf(files) {
  const groups = new Map();
  for (const { file, flags, isApart = false } of files) {
    const key = JSON.stringify([isApart || !file.endsWith('.cc') ? file : dirname(file), flags]);
    const group = groups.get(key) ?? { members: [], flags };
    group.members.push(file);
    groups.set(key, group);
  }
  return Promise.all([...groups.values()].map(unitOf));
}

async function unitOf({ members, flags }) {
  if (members.length === 1) return { file: members[0], flags };
  const text = members.map((member) => `#include "${member}"\n`).join('');
  const folder = relative(root, dirname(members[0])).replaceAll('/', '-');
  const file = join(objectsDir, 'units', `${folder}-${hashOf(text).slice(0, 8)}.cc`);
  await mkdir(dirname(file), { recursive: true });
  if (!existsSync(file)) await writeFile(file, text);
  return { file, flags };
}

async function compile(object, compiler, args) {
  await mkdir(dirname(object), { recursive: true });
  const dependencies = object.replace(/o$/, 'd');
  const command = [compiler, ...args].join(' ');
  if (await isMade(object, await keyOf(command, dependencies))) return;
  await tool(compiler, [...args, '-MMD', '-MF', dependencies, '-o', object]);
  await writeFile(`${object}.key`, await keyOf(command, dependencies));
}

/** Of a command and what the compiler has read; what it will read is not known before the first time. */
async function keyOf(command, dependencies) {
  const rule = await readFile(dependencies, 'utf8').catch(() => '');
  const hash = createHash('sha256').update(command);
  const read = rule.replace(/^.*?:/, '').split(/[\s\\]+/);
  for (const path of read.filter(Boolean)) {
    hash.update(path).update(await readFile(path).catch(() => ''));
  }
  return hash.digest('hex');
}

async function isMade(output, key) {
  return existsSync(output) && (await readFile(`${output}.key`, 'utf8').catch(() => '')) === key;
}

async function tool(compiler, args) {
  try {
    await run(compiler, args, { maxBuffer: 1 << 24 });
  } catch (error) {
    throw new Error(`${compiler} ${args.join(' ')}\n${error.stderr ?? error}`, { cause: error });
  }
}
