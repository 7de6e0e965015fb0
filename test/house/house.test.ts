/** The house rules: lint, format, the direction of imports. Each check is a program of its own. */
import { expect } from 'chai';
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import { findTool } from '../../scripts/vm/tools.js';

const packageRoot = fileURLToPath(new URL('../../..', import.meta.url));

/** Runs a script of this repository to its end. */
function run(...args: string[]): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, {
      cwd: packageRoot,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    const collect = (text: Buffer) => (output += text.toString());
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, output }));
  });
}

async function expectSuccess(...args: string[]): Promise<void> {
  const { code, output } = await run(...args);
  expect(code, output).to.equal(0);
}

describe('house rules', function () {
  // Linting with types compiles everything once more, which takes its time, and ends by itself.
  this.timeout(0);

  it('eslint finds nothing', () => expectSuccess('node_modules/eslint/bin/eslint.js', '.'));

  it('prettier would change nothing', () =>
    expectSuccess('node_modules/prettier/bin/prettier.cjs', '--check', '.'));

  it('clang-format would change nothing', async function () {
    if (process.env.CI !== 'true' && findTool('clang-format') === undefined) {
      console.log('      skipped: clang-format is not installed');
      this.skip();
    }
    await expectSuccess('scripts/check/clang-format.mjs');
  });

  it('imports only point down', () => expectSuccess('scripts/check/imports.mjs'));
});
