/** Which files of tests a run takes, and what it leaves out. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';

import type { Architecture } from '../vm/index.js';
import { PROJECT_ROOT } from '../vm/paths.js';

/**
 * How much is run: what needs no virtual machine and is quick; all that needs none, and one look at the real
 * thing on machines; everything, with one kernel in turn where several are to say the same; everything on each
 * kernel.
 */
export type Extent = 'fast' | 'quick' | 'full' | 'all';

export interface Selection {
  /** Compiled files of tests, relative to the project. */
  readonly files: readonly string[];
  /** What is not run, a sentence each, and with what it is. */
  readonly leftOut: readonly string[];
}

const TESTS = 'dist/test';
const MACHINES = 'dist/test/vm/';
/** The kernels of which one stands for the other: those of the release, and the newest. */
const IN_TURN = /^dist\/test\/vm\/linux-(?:(6\.1|6\.12)|(backports|sid))\/(.*)$/;

/**
 * Suites of which there is one for each of those who make the calls into the kernel: one has its turn. The
 * calls by the thread, the default, run every day where a suite tells of more than how a process ends.
 */
const SUBMITTERS = /^(user-stack)-(?:loop|keeper)\.|^(ending)-(?:thread|keeper)\./;

/**
 * Suites of which one kernel has a second form, with corosync and dlm_controld in the place of the host: it runs
 * on the days on which the other kernel has the first. Other suites have the daemons every day.
 */
const WITH_DAEMONS = /^(three-nodes|notices)-corosync\./;

/** Kernels that change from week to week: what they do is looked at when somebody asks for it. */
const NEWEST = /^dist\/test\/vm\/linux-(backports|sid)\//;

/**
 * Machines with another processor than the host's. Making the binaries for it and emulating it take minutes, and
 * what can go wrong on it alone is in the compiler and in few lines of native code.
 */
const FOREIGN = `${MACHINES}arm64.`;

/** The machines of a quick run, on whichever kernel has its turn: the behaviours of any stack, deaths, stops. */
const QUICK = /\/vm\/linux-6[^/]+\/(three-nodes|notices)\.test\.js$/;

/** What needs no machine and yet takes its time: it compiles, lints or measures. */
const SLOW =
  /^dist\/test\/([^/]+|(bench|house)\/[^/]+|locks\/leaks\.test\.js|package\/(packed|bare-debian|musl)\.test\.js)$/;

/** The processor of the machines that a file boots, if it is not the host's. */
export function foreignProcessor(file: string): Architecture | undefined {
  return file.startsWith(FOREIGN) ? 'arm64' : undefined;
}

/** Whether a file boots virtual machines. */
export function needsMachines(file: string): boolean {
  return file.startsWith(MACHINES);
}

/** All compiled files of tests, those that take long first, so that none is left alone at the end. */
export function allFiles(): string[] {
  const files = readdirSync(join(PROJECT_ROOT, TESTS), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.test.js'))
    .map((file) => join(TESTS, file));
  return files.sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
}

function rank(file: string): number {
  if (needsMachines(file)) return 1;
  // At the top of test/ lie those that compile.
  return file.split('/').length === 3 ? 0 : 2;
}

/** Days are counted as UTC has them, so that all who run on one day run the same. */
function dayOf(date: Date): number {
  return Math.floor(date.getTime() / 86_400_000);
}

/**
 * Of the files of one suite, for several kernels or for several of those who make the calls, leaves the one
 * whose turn it is: another one each day, and on each day some of them on each kernel.
 */
export function onOneKernel(files: readonly string[], date: Date): string[] {
  const bySuite = new Map<string, string[]>();
  for (const file of files) {
    const suite = suiteOf(file);
    if (suite !== undefined) bySuite.set(suite, [...(bySuite.get(suite) ?? []), file].sort());
  }
  const suites = [...bySuite.keys()].sort();
  const hasTurn = (file: string): boolean => {
    const suite = suiteOf(file);
    if (suite === undefined) return true;
    const candidates = bySuite.get(suite) ?? [];
    return candidates[(suites.indexOf(suite) + dayOf(date)) % candidates.length] === file;
  };
  return files.filter((file) => {
    const first = firstFormOf(file);
    return first !== undefined && files.includes(first) ? !hasTurn(first) : hasTurn(file);
  });
}

/** The file of the same suite and kernel without daemons; undefined for all that are no second form. */
function firstFormOf(file: string): string | undefined {
  const [, , newest, suite] = IN_TURN.exec(file) ?? [];
  const [, name] = WITH_DAEMONS.exec(suite ?? '') ?? [];
  if (newest !== undefined || name === undefined) return undefined;
  return file.replace(`${name}-corosync`, name);
}

/** What the files have in common that take turns; undefined for what is for no kernel in particular. */
function suiteOf(file: string): string | undefined {
  const [, , newest, suite] = IN_TURN.exec(file) ?? [];
  if (suite === undefined) return undefined;
  const [, userStack, ending] = SUBMITTERS.exec(suite) ?? [];
  return `${newest === undefined ? '' : 'newest '}${userStack ?? ending ?? suite}`;
}

/** What is on no kernel among the chosen files, by names without the kernel. */
function absentFrom(chosen: readonly string[], files: readonly string[]): string[] {
  const namesOf = (paths: readonly string[]): string[] =>
    paths.flatMap((path) => IN_TURN.exec(path)?.[3]?.replace('.test.js', '') ?? []);
  const present = namesOf(chosen);
  return [...new Set(namesOf(files))].filter((name) => !present.includes(name)).sort();
}

/** The files of a run. */
export function select(extent: Extent, files: readonly string[], date: Date): Selection {
  const inTurn = onOneKernel(files, date);
  const count = (chosen: readonly string[]): string => {
    const left = files.length - chosen.length;
    return left === 1 ? 'One file' : `${left} files`;
  };
  switch (extent) {
    case 'fast': {
      const chosen = files.filter((file) => !needsMachines(file) && !SLOW.test(file));
      const sentence = `${count(chosen)} on virtual machines, or that compile, lint and measure: npm test runs some, npm test -- --full all.`;
      return { files: chosen, leftOut: [sentence] };
    }
    case 'quick': {
      const chosen = inTurn.filter((file) => !needsMachines(file) || QUICK.test(file));
      const sentence = `${count(chosen)} on virtual machines: npm test -- --full`;
      return { files: chosen, leftOut: [sentence] };
    }
    case 'full': {
      const chosen = inTurn.filter((file) => !NEWEST.test(file) && !file.startsWith(FOREIGN));
      const sentence = `${count(chosen)} whose turn is on another day, on the newest kernels, or on 64-bit ARM: npm test -- --full --all`;
      const absent = absentFrom(chosen, files);
      const names = `Of these on no kernel today: ${absent.join(', ')}.`;
      return {
        files: chosen,
        leftOut: [
          ...(chosen.length === files.length ? [] : [sentence]),
          ...(absent.length === 0 ? [] : [names]),
        ],
      };
    }
    case 'all':
      return { files, leftOut: [] };
  }
}

/**
 * The compiled files that words of the command line name: a source, what it was compiled to, or a folder of
 * either.
 *
 * @throws {RangeError} for a word that names no tests.
 */
export function namedFiles(words: readonly string[]): string[] {
  const files = words.flatMap((word) => {
    const path = relative(PROJECT_ROOT, resolve(word));
    const compiled = (path.startsWith('dist/') ? path : join('dist', path)).replace(/\.ts$/, '.js');
    const found = filesAt(compiled);
    if (found.length === 0) throw new RangeError(`There are no tests in ${word}.`);
    return found;
  });
  return [...new Set(files)];
}

function filesAt(path: string): string[] {
  const absolute = join(PROJECT_ROOT, path);
  if (!existsSync(absolute)) return [];
  if (statSync(absolute).isFile()) return [path];
  return allFiles().filter((file) => file.startsWith(`${path}/`));
}
