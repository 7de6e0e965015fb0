/** `npm run bench` still works in virtual machines; what it measures is nobody's business here. */
import { expect } from 'chai';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Row } from '../../scripts/bench/result.js';
import { prepareImage } from '../../scripts/vm/index.js';
import { bench, expectMeasured } from '../support/bench.js';
import { progress, requireVms } from '../support/vm-world.js';

describe('the benchmarks in virtual machines', () => {
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

  it('compare a crowd of waiters that gives up in JavaScript with the same in C', async () => {
    const json = join(folder, 'crowd.json');
    const little = ['--rounds', '1', '--modes', 'thread'];
    await bench(...little, '--only', 'giving up, 100 waiters', '--json', json);
    const rows = JSON.parse(readFileSync(json, 'utf8')) as Row[];
    const measured = [
      ['rate', '1/s'],
      ['loop stands still', 'ms'],
      ["another node's lock+unlock", 'ms'],
    ] as const;
    expect(rows.map(({ name, unit }) => [name, unit])).to.deep.equal(
      ['cancelled', 'unlocked by force'].flatMap((way) =>
        measured.map(([what, unit]) => [`giving up, 100 waiters ${way}, ${what}, thread`, unit]),
      ),
    );
    for (const row of rows) {
      expectMeasured(row.rate, row.reference);
      expect(row.machine).to.include({ vcpus: 1, nodes: 2, node: process.version });
    }
  });

  it('compare cached locks that two nodes want with the same in C, and count the calls of those that nobody else does', async () => {
    const json = join(folder, 'cached.json');
    const little = ['--rounds', '1', '--seconds', '0.05', '--modes', 'thread'];
    await bench(...little, '--only', 'cached, (from|system)', '--json', json);
    const rows = JSON.parse(readFileSync(json, 'utf8')) as Row[];
    expect(rows.map(({ name, unit }) => [name, unit])).to.deep.equal([
      ['cached, system calls of 10,000,000 holds, thread', 'calls'],
      ["cached, system calls of 10,000,000 holds, thread, V8's own beside them", 'calls'],
      ['cached, from a hold on one node to one on another, thread', 'µs'],
    ]);
    for (const row of rows) {
      expectMeasured(row.rate, row.reference);
      expect(row.machine).to.include({ vcpus: 1, nodes: 2, node: process.version });
    }
  });
});
