/** `npm run bench` still works on the host alone; what it measures is nobody's business here. */
import { expect } from 'chai';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { Row } from '../../scripts/bench/result.js';
import { bench, expectMeasured } from '../support/bench.js';

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
      'embedded, lock+unlock, depth 64, o2cb by promises and async-lock',
      'embedded, o2dlm engine, EX waiters on one resource drained: 1,000',
      'embedded, o2dlm engine, memory of an idle lock among so many: 1,000',
    ]);
    for (const row of rows) {
      expectMeasured(row.rate, row.reference);
      expect(row.ratio).to.equal(row.rate / row.reference);
      expect(row.machine).to.include({ nodes: 0, node: process.version });
    }
    const measuredInTime = rows.filter(({ unit }) => unit === '1/s');
    expect(measuredInTime).to.have.lengthOf(5);
    for (const { ratios, cpu } of measuredInTime) {
      expect(ratios).to.have.lengthOf(2);
      expectMeasured(cpu?.rate, cpu?.reference);
    }
    expect(rows.at(-1)).to.include({ unit: 'byte/lock', reference: 256 });
  });
});

describe('the benchmark of a program from its start to its first lock', () => {
  it('compares it with one that does nothing', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'stackglue-bench-'));
    try {
      const json = join(folder, 'rows.json');
      await bench('--rounds', '1', '--json', json, '--only', '^start');
      const rows = JSON.parse(readFileSync(json, 'utf8')) as Row[];
      expect(rows.map(({ target }) => target)).to.deep.equal([{ atMost: 1 }, undefined]);
      for (const row of rows) {
        expect(row).to.include({ unit: 'ms', reference: 25 });
        expect(row.rates).to.have.lengthOf(8);
        expect(row.rates.every(Number.isFinite)).to.equal(true);
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

describe('the benchmark of cached locks', () => {
  let folder: string;
  before(() => (folder = mkdtempSync(join(tmpdir(), 'stackglue-bench-'))));
  after(() => rmSync(folder, { recursive: true, force: true }));

  it('compares holds with a library and with more names, and memory with a limit', async () => {
    const json = join(folder, 'rows.json');
    const little = ['--rounds', '1', '--seconds', '0.06', '--json', json];
    await bench(...little, '--only', '^cached, (hold.* 10 names|hand-over|memory.* 100,000)');
    const rows = JSON.parse(readFileSync(json, 'utf8')) as Row[];
    expect(rows.map(({ name }) => name)).to.deep.equal([
      'cached, hold and release, 10 names of 10 cached, and async-mutex',
      'cached, hold and release, 10 names of 10 cached, and with 1,000 cached',
      "cached, hand-over of two emulated nodes, and by the glue's calls",
      "cached, memory of a name above the glue's lock, among 100,000",
      "cached, memory of a name above the glue's lock, among 100,000, its CachedLock not kept",
    ]);
    for (const row of rows) expectMeasured(row.rate, row.reference, row.ratio);
    expect(rows.at(-1)).to.include({ unit: 'byte/name', reference: 400 });
  });
});

describe('the benchmarks', () => {
  it('tell what they take when they are asked for something else', async () => {
    const failure: unknown = await bench('--modes', 'spin').catch((error: unknown) => error);
    expect(failure).to.include({ code: 2, stdout: '' });
    expect(failure)
      .to.have.property('stderr')
      .that.matches(/--modes .*spin.* can be thread, loop, keeper/);
  });
});
