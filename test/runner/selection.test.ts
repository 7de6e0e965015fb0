/** What `npm test` chooses, and that it does it as often as asked. */
import { expect } from 'chai';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { missingNeeds } from '../../scripts/test/needs.js';
import {
  allFiles,
  namedFiles,
  needsMachines,
  onOneKernel,
  select,
} from '../../scripts/test/selection.js';
import { PROJECT_ROOT } from '../../scripts/vm/paths.js';

const TODAY = new Date('2026-03-01T12:00:00Z');
const TOMORROW = new Date('2026-03-02T00:00:00Z');

const VM = 'dist/test/vm';
const FILES = [
  'dist/test/engines.test.js',
  'dist/test/stackglue/lksb.test.js',
  `${VM}/partition.test.js`,
  `${VM}/harness.test.js`,
  ...['6.1', '6.12'].flatMap((version) =>
    ['flags', 'notices', 'three-nodes'].map((suite) => `${VM}/linux-${version}/${suite}.test.js`),
  ),
  ...['backports', 'sid'].map((kernel) => `${VM}/linux-${kernel}/flags.test.js`),
  `${VM}/linux-6.1/many-locks.test.js`,
  `${VM}/arm64.test.js`,
];

const run = promisify(execFile);

/** Runs the command line, and resolves to what it prints and its code. */
async function command(...args: string[]): Promise<{ code: number; stdout: string }> {
  const program = join(PROJECT_ROOT, 'dist/scripts/test/main.js');
  const env = { ...process.env };
  delete env.STACKGLUE_TEST_BRIEF;
  return run(process.execPath, [program, ...args], { env }).then(
    ({ stdout }) => ({ code: 0, stdout }),
    (error: unknown) => error as { code: number; stdout: string },
  );
}

describe('the choice of tests', () => {
  it('leaves each suite to one kernel, and to the other one on the next day', () => {
    const [today, tomorrow] = [TODAY, TOMORROW].map((date) => onOneKernel(FILES, date));
    for (const suite of ['6.*flags', '[a-z]/flags', 'notices', 'three-nodes']) {
      const ofSuite = (file: string): boolean => new RegExp(`${suite}\\.test`).test(file);
      expect([...today!.filter(ofSuite), ...tomorrow!.filter(ofSuite)].sort()).to.deep.equal(
        FILES.filter(ofSuite).sort(),
      );
    }
    for (const chosen of [today!, tomorrow!]) {
      expect(chosen).to.include(`${VM}/linux-6.1/many-locks.test.js`);
      for (const kernel of ['linux-6.1/', 'linux-6.12/']) {
        expect(chosen.some((file) => file.includes(kernel))).to.equal(true);
      }
    }
  });

  it('gives those who make the calls their turns, and each of them on each kernel', () => {
    const files = ['6.1', '6.12'].flatMap((version) =>
      ['user-stack-keeper', 'user-stack-loop', 'user-stack-thread', 'ending-keeper'].map(
        (suite) => `${VM}/linux-${version}/${suite}.test.js`,
      ),
    );
    const days = [1, 2, 3, 4].map((day) => onOneKernel(files, new Date(Date.UTC(2026, 2, day))));
    for (const chosen of days) expect(chosen).to.have.lengthOf(3);
    expect([...new Set(days.flat())].sort()).to.deep.equal([...files].sort());
  });

  it('has daemons on the days on which the other kernel has a suite without', () => {
    const names = ['6.1/three-nodes', '6.1/three-nodes-corosync', '6.12/three-nodes'];
    const files = names.map((name) => `${VM}/linux-${name}.test.js`);
    const sorted = [TODAY, TOMORROW].map((date) => onOneKernel(files, date).join(' ')).sort();
    const [host, corosync, other] = files;
    expect(sorted).to.deep.equal([`${corosync} ${other}`, host].sort());
    const runs = [TODAY, TOMORROW].map((date) => select('full', files, date).leftOut.join(' '));
    expect(runs.filter((text) => text.endsWith(': three-nodes-corosync.'))).to.have.lengthOf(1);
    // With nothing that it takes turns with it is there every day.
    expect(onOneKernel([corosync!], TODAY)).to.deep.equal([corosync]);
    const newest = files.map((file) => file.replace(/-6\.1\//, '-backports/'));
    expect(onOneKernel([newest[1]!, newest[0]!], TODAY)).to.have.members(newest.slice(0, 2));
  });

  it('runs each file of a kernel of the release within four days', () => {
    const all = allFiles().filter((file) => file.includes('linux-6.'));
    const days = [0, 1, 2, 3].map((day) => new Date(TODAY.getTime() + day * 86_400_000));
    const run = days.flatMap((date) => select('full', allFiles(), date).files);
    expect(all.filter((file) => !run.includes(file))).to.deep.equal([]);
    // Two days are enough for all of which there is one for each kernel.
    const two = days.slice(0, 2).flatMap((date) => select('full', allFiles(), date).files);
    const late = all.filter((file) => !two.includes(file));
    expect(
      late.every((file) => /\/(user-stack|ending)-(loop|keeper|thread)\./.test(file)),
    ).to.equal(true, late.join(' '));
  });

  it('is the same all day', () => {
    const late = new Date('2026-03-01T23:59:59Z');
    expect(onOneKernel(FILES, late)).to.deep.equal(onOneKernel(FILES, TODAY));
  });

  it('leaves out what it says, more of it the quicker it is', () => {
    const [fast, quick, full, all] = (['fast', 'quick', 'full', 'all'] as const).map(
      (extent) => select(extent, FILES, TODAY).files,
    );
    expect(all).to.deep.equal(FILES);
    expect(fast!.some(needsMachines)).to.equal(false);
    expect(fast).to.deep.equal(['dist/test/stackglue/lksb.test.js']);
    expect(quick).to.include.members(all!.filter((file) => !needsMachines(file)));
    expect(full).to.include.members([...quick!]);
    expect([fast, quick, full].map((files) => files!.length)).to.deep.equal([1, 4, 8]);
    expect(select('all', FILES, TODAY).leftOut).to.deep.equal([]);
    expect(select('quick', FILES, TODAY).leftOut).to.have.lengthOf(1);
    expect(select('fast', FILES, TODAY).leftOut[0]).to.match(/^13 files/);
  });

  it('takes each file that there is', () => {
    const { files } = select('all', allFiles(), TODAY);
    expect(files).to.include('dist/test/runner/selection.test.js');
    expect(files).to.include(`${VM}/partition.test.js`);
    expect(new Set(files).size).to.equal(files.length);
  });

  it('knows a file by its source, and a folder by its files', () => {
    const own = ['dist/test/runner/selection.test.js'];
    for (const word of [
      'test/runner/selection.test.ts',
      own[0]!,
      'test/runner',
      'dist/test/runner/',
    ]) {
      expect(namedFiles([join(PROJECT_ROOT, word)]), word).to.deep.equal(own);
    }
    expect(() => namedFiles(['test/nothing'])).to.throw(RangeError, 'test/nothing');
  });

  it('asks for no packages that the chosen tests do not need', async () => {
    expect(await missingNeeds([join(PROJECT_ROOT, 'test/stackglue')])).to.deep.equal([]);
  });
});

describe('npm test', function () {
  this.timeout(600_000);
  const file = join(PROJECT_ROOT, 'test/stackglue/constants.test.ts');

  it('counts all runs when it runs often', async () => {
    const { code, stdout } = await command('--repeat', '2', file);
    expect(code).to.equal(0);
    expect(stdout).to.match(/^ {2}run 2 of 2: 4 passed, 0 failed in /m);
    expect(stdout).to.match(/^8 passed, 0 failed$/m);
  });

  it('closes with a line of its own', async () => {
    const { code, stdout } = await command(file);
    expect(code).to.equal(0);
    expect(stdout).to.match(/^4 passed, 0 failed$/m);
  });

  it('refuses what it cannot make sense of', async () => {
    expect((await command('test/nothing')).code).to.equal(2);
    expect((await command('--repeat', 'often', file)).code).to.equal(2);
  });
});
