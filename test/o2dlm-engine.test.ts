// Runs the C++ tests of the o2dlm engine (test/o2dlm) under the sanitizers, one `it` for each of
// their test cases.
import { execFile } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';

import { expect } from 'chai';

type Sanitizer = 'address' | 'thread';

interface Builder {
  missingTool(): Promise<string | undefined>;
  build(): Promise<void>;
  readonly programPath: Readonly<Record<Sanitizer, string>>;
}

const run = promisify(execFile);
const root = findRoot();
const sources = join(root, 'test/o2dlm');

const buildTimeoutMs = 600_000;
const caseTimeoutMs = 120_000;

/** This file runs from test/ or from dist/test/. */
function findRoot(): string {
  const here = join(import.meta.dirname, '..');
  return here.endsWith('dist') ? join(here, '..') : here;
}

/** The titles of one source's cases, in its order. */
function titlesOf(file: string): string[] {
  const text = readFileSync(join(sources, file), 'utf8');
  return [...text.matchAll(/^TEST_CASE\("([^"\\]+)"\)/gm)].flatMap((match) => match[1] ?? []);
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

describe('o2dlm engine', () => {
  let builder: Builder;

  before(async function () {
    this.timeout(buildTimeoutMs);
    builder = (await import(pathToFileURL(join(sources, 'build.mjs')).href)) as Builder;
    const missing = await builder.missingTool();
    if (missing !== undefined) {
      const message = `cannot build the engine tests: no ${missing}`;
      if (process.env.CI === 'true') throw new Error(message);
      console.log(`      skipped: ${message}`);
      this.skip();
    }
    await builder.build();
  });

  const files = readdirSync(sources).filter((file) => file.endsWith('_test.cc'));
  for (const file of files.sort()) {
    const suites: Sanitizer[] = file === 'threads_test.cc' ? ['address', 'thread'] : ['address'];
    for (const sanitizer of suites) {
      describe(`${file} (${sanitizer} sanitizer)`, () => {
        for (const title of titlesOf(file)) {
          it(title, async function () {
            this.timeout(caseTimeoutMs);
            this.slow(5_000);
            await runCase(builder.programPath[sanitizer], title);
          });
        }
      });
    }
  }
});
