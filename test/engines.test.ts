// Runs the C++ tests of the engines under the sanitizers, one `it` for each of their test cases,
// and the fuzzers on a bounded number of inputs.
import { execFile } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';

import { expect } from 'chai';

import { skipBecause } from './support/skip.js';

type Sanitizer = 'address' | 'thread';

interface Builder {
  missingTool(): Promise<string | undefined>;
  missingFuzzer(): Promise<string | undefined>;
  build(): Promise<string[]>;
  buildFuzzers(): Promise<string[]>;
  programPath(suite: string, sanitizer: Sanitizer): string;
  programsOf(suite: string): { sanitizer: Sanitizer; wanted: (file: string) => boolean }[];
  readonly suites: readonly string[];
}

const run = promisify(execFile);
const root = findRoot();

/** Inputs of each fuzzer: a part of a CI run that is the same on every host. */
const fuzzRuns = 30_000;

/** This file runs from test/ or from dist/test/. */
function findRoot(): string {
  const here = join(import.meta.dirname, '..');
  return here.endsWith('dist') ? join(here, '..') : here;
}

/** The titles of one source's cases, in its order. */
function titlesOf(path: string): string[] {
  const text = readFileSync(path, 'utf8');
  return [...text.matchAll(/^TEST_CASE\(\s*"([^"\\]+)"\)/gm)].flatMap((match) => match[1] ?? []);
}

/** Runs one case; rejects with doctest's output unless exactly this case ran and passed. */
async function runCase(program: string, title: string): Promise<void> {
  // doctest splits filters at commas, unless escaped.
  const filter = title.replaceAll(',', '\\,');
  const outcome = await run(program, [`--test-case=${filter}`, '--no-intro', '--no-colors'], {
    maxBuffer: 1 << 24,
  }).catch((error: unknown) => {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
    throw new Error(`${stdout}\n${stderr}\n${String(error)}`);
  });
  expect(outcome.stdout, 'exactly one case ran').to.match(/test cases: +1 \| +1 passed/);
}

/** Outside CI a missing tool skips the tests and says so. */
function skipWithout(context: Mocha.Context, what: string, missing: string | undefined): void {
  if (missing !== undefined) skipBecause(context, `cannot build ${what}: no ${missing}`);
}

const builder = (await import(pathToFileURL(join(root, 'test/engines/build.mjs')).href)) as Builder;

describe('engines', () => {
  before(async function () {
    this.timeout(0); // a compiler ends by itself
    skipWithout(this, 'the engine tests', await builder.missingTool());
    await builder.build();
  });

  for (const suite of builder.suites) {
    const files = readdirSync(join(root, 'test', suite)).filter((f) => f.endsWith('_test.cc'));
    for (const file of files.sort()) {
      for (const { sanitizer, wanted } of builder.programsOf(suite)) {
        if (!wanted(file)) continue;
        describe(`${suite}/${file} (${sanitizer} sanitizer)`, () => {
          for (const title of titlesOf(join(root, 'test', suite, file))) {
            it(title, async function () {
              this.slow(5_000);
              await runCase(builder.programPath(suite, sanitizer), title);
            });
          }
        });
      }
    }
  }
});

describe('engine fuzzers', () => {
  let programs: string[] = [];

  before(async function () {
    this.timeout(0);
    skipWithout(this, 'the fuzzers', await builder.missingFuzzer());
    programs = await builder.buildFuzzers();
  });

  const targets = readdirSync(join(root, 'test/engines')).filter((f) => f.endsWith('_fuzz.cc'));
  for (const target of targets.sort()) {
    const name = target.slice(0, -'.cc'.length);
    it(`${name} finds nothing`, async function () {
      this.slow(60_000);
      const program = programs.find((path) => path.endsWith(`/${name}`));
      expect(program, 'the fuzzer was built').to.satisfy(existsSync);
      // An input that fails is left there, and named in the output.
      const artifacts = await mkdtemp(join(tmpdir(), 'stackglue-fuzz-'));
      const seed = Math.floor(Math.random() * 0x7fffffff) + 1;
      await run(program!, [
        `-runs=${fuzzRuns}`,
        `-seed=${seed}`,
        `-artifact_prefix=${artifacts}/`,
        '-max_len=512',
      ]).catch((error: unknown) => {
        throw new Error(`seed ${seed}\n${(error as { stderr?: string }).stderr ?? String(error)}`);
      });
      await rm(artifacts, { recursive: true });
    });
  }
});
