/** `npm run bench` still works; what it measures is nobody's business here. */
import { expect } from 'chai';
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import type { Row } from '../../scripts/bench/result.js';
import { prepareImage } from '../../scripts/vm/index.js';
import { progress, requireVms } from '../support/vm-world.js';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

/** That something was measured: how much is up to the host. */
function expectMeasured(...values: (number | undefined)[]): void {
  for (const value of values) expect(value).to.satisfy(Number.isFinite);
}

function bench(...args: string[]): Promise<{ stdout: string }> {
  const program = join(ROOT, 'dist/scripts/bench/main.js');
  return promisify(execFile)(process.execPath, [program, ...args]);
}

describe('the benchmark of what runs inside one process', () => {
  let folder: string;
  before(() => (folder = mkdtempSync(join(tmpdir(), 'stackglue-bench-'))));
  after(() => rmSync(folder, { recursive: true, force: true }));

  it('compares the engine and the glue with a library, and sizes with the smallest', async () => {
    const json = join(folder, 'rows.json');
    const little = ['--rounds', '1', '--seconds', '0.06', '--json', json];
    const only = 'depth 64, o2.*async-lock$|o2dlm engine, (EX|memory).*: 1,000$';
    await bench(...little, '--only', `^embedded, .*(${only})`);
    const rows = JSON.parse(readFileSync(json, 'utf8')) as Row[];
    expect(rows.map(({ name }) => name)).to.deep.equal([
      'embedded, lock+unlock, depth 64, o2dlm engine in C++ and async-lock',
      'embedded, lock+unlock, depth 64, o2cb through the glue and async-lock',
      'embedded, lock+unlock, depth 64, o2cb through the glue, new status blocks and async-lock',
      'embedded, o2dlm engine, EX waiters on one resource drained: 1,000',
      'embedded, o2dlm engine, memory of an idle lock among so many: 1,000',
    ]);
    for (const row of rows) {
      expectMeasured(row.rate, row.reference);
      expect(row.ratio).to.equal(row.rate / row.reference);
      expect(row.machine).to.include({ nodes: 0, node: process.version });
    }
    const measuredInTime = rows.filter(({ unit }) => unit === '1/s');
    expect(measuredInTime).to.have.lengthOf(4);
    for (const { ratios, cpu } of measuredInTime) {
      expect(ratios).to.have.lengthOf(2);
      expectMeasured(cpu?.rate, cpu?.reference);
    }
    expect(rows.at(-1)).to.include({ unit: 'byte/lock', reference: 256 });
  });
});

describe('the benchmarks', function () {
  let folder: string;
  before(async function () {
    this.timeout(0); // making the image has limits of its own
    folder = mkdtempSync(join(tmpdir(), 'stackglue-bench-'));
    await requireVms(this);
    await prepareImage({}, progress);
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  it('compare each kind of work in JavaScript with the same in C', async () => {
    const json = join(folder, 'rows.json');
    const little = ['--rounds', '1', '--seconds', '0.05', '--cpus', '2', '--modes', 'thread'];
    const { stdout } = await bench(...little, '--only', 'local.*depth 64$', '--json', json);
    const rows = JSON.parse(readFileSync(json, 'utf8')) as Row[];
    const names = ['lock+unlock', 'NL<->EX'].flatMap((work) =>
      ['C in the callback', 'thread'].map((who) => `${work}, local, 2 vCPU, depth 64, ${who}`),
    );
    expect(rows.map((row) => row.name)).to.deep.equal(names);
    for (const row of rows) {
      expect(row.rates).to.deep.equal([row.rate]);
      expectMeasured(row.rate, row.reference);
      expect(row.ratio).to.equal(row.rate / row.reference);
      expect(row.machine).to.include({ vcpus: 2, nodes: 1, node: process.version });
    }
    for (const name of names) expect(stdout).to.include(`| ${name}`);
  });

  it('tell what they take when they are asked for something else', async () => {
    const failure: unknown = await bench('--modes', 'spin').catch((error: unknown) => error);
    expect(failure).to.include({ code: 2, stdout: '' });
    expect(failure).to.have.property('stderr').that.includes('--modes can be thread, loop, keeper');
  });
});
