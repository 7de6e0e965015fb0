/** The examples, run as they are, on the emulation. */
import { expect } from 'chai';
import { fileURLToPath } from 'node:url';
import { spawn, type ChildProcess } from 'node:child_process';

const packageRoot = fileURLToPath(new URL('../../..', import.meta.url));

interface Run {
  readonly child: ChildProcess;
  readonly exit: Promise<{ code: number | null; output: string; errors: string }>;
  /** Resolves when it has printed this. */
  readonly printed: (text: string) => Promise<void>;
}

/** Runs a program as on a laptop. */
function run(path: string): Run {
  const child = spawn(process.execPath, ['--disable-warning=STACKGLUE_EMULATED', path], {
    cwd: packageRoot,
    env: { ...process.env, STACKGLUE_USER: 'emulated' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  let errors = '';
  const waiting: { text: string; resolve: () => void }[] = [];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
    for (const each of waiting) if (output.includes(each.text)) each.resolve();
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
  const exit = new Promise<{ code: number | null; output: string; errors: string }>(
    (resolve, reject) => {
      child.on('error', reject);
      child.on('close', (code) => resolve({ code, output, errors }));
    },
  );
  const printed = (text: string): Promise<void> =>
    Promise.race([
      new Promise<void>((resolve) => {
        waiting.push({ text, resolve });
        if (output.includes(text)) resolve();
      }),
      exit.then(() => undefined),
    ]);
  return { child, exit, printed };
}

const EXAMPLES: Readonly<Record<string, readonly string[]>> = {
  'dist/scripts/examples/first-lock.js': [
    'node 1 has EX on inode/42',
    'somebody is in the way: this program itself',
    'both at once: inode/2, inode/1',
  ],
  'scripts/examples/plain.mjs': [
    'node 1 has EX on inode/42',
    'the work returned 7',
    'the work failed, and the lock is free again',
  ],
  'dist/scripts/examples/resume.js': [
    'the service has ended with 1; others are kept out',
    'goes on after step 2',
    'the service has ended with 0; others are let in',
  ],
  'dist/scripts/examples/retry.js': [
    'ERR_DLM_TIMEOUT: once more',
    'moved from b to a',
    'moved from a to b',
  ],
  'dist/scripts/examples/elect.js': [
    'first leads\nsecond leads\nthird leads\nthird is told: all is done',
    'first has ended: all is done',
    'second has ended: well',
    'third has ended: well',
  ],
  'dist/scripts/examples/tokens.js': [
    'written: one',
    'written: two',
    'refused: late',
    'the journal: one, two, three',
  ],
};

describe('examples', () => {
  for (const [path, lines] of Object.entries(EXAMPLES)) {
    it(`${path} does what it says`, async () => {
      const { code, output, errors } = await run(path).exit;
      expect(code, errors).to.equal(0);
      for (const line of lines) expect(output).to.contain(line);
    });
  }

  it('sigterm.js gives up in good order, and ends by itself', async () => {
    const { child, exit, printed } = run('dist/scripts/examples/sigterm.js');
    await printed('working');
    child.kill('SIGTERM');
    const { code, output, errors } = await exit;
    expect(code, errors).to.equal(0);
    expect(output).to.equal('working\ngiven up\n');
  });
});
