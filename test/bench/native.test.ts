/** The benchmark with a double of the device still works; how fast anything is decides nothing here. */
import { expect } from 'chai';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { isNativeRow, type NativeRow } from '../../scripts/bench/native/native.js';
import type { Row } from '../../scripts/bench/result.js';
import { whyNotNative } from '../../scripts/bench/native/world.js';
import { bench, expectMeasured } from '../support/bench.js';
import { skipBecause } from '../support/skip.js';

/** Of some 2,000 requests: the write by which a program answers may end after strace has let go of it. */
const AT_THE_EDGES = 0.001;

describe('the native benchmark', () => {
  let folder: string;
  let rows: Row[];
  let stdout: string;
  let stderr: string;

  before(async function () {
    folder = mkdtempSync(join(tmpdir(), 'stackglue-bench-'));
    const reason = whyNotNative();
    if (reason !== undefined) skipBecause(this, reason);
    const json = join(folder, 'rows.json');
    const little = ['--rounds', '1', '--seconds', '0.1', '--cpus', '1', '--json', json];
    const only = 'native, ((lock.unlock|NL<->EX), 1 CPU, depth 64|promises and the glue, 1 CPU),';
    ({ stdout, stderr } = await bench(...little, '--only', only));
    rows = JSON.parse(readFileSync(json, 'utf8')) as Row[];
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  const compared = (): NativeRow[] => rows.filter(isNativeRow);

  it('compares each way to make the calls with C, and the double with the kernel', () => {
    const names = ['lock+unlock', 'NL<->EX'].flatMap((work) =>
      ['C in the callback', 'thread', 'loop', 'keeper'].map(
        (who) => `native, ${work}, 1 CPU, depth 64, ${who}`,
      ),
    );
    expect(compared().map(({ name }) => name)).to.deep.equal(names);
    const calls = ['write of a lock', 'write of an unlock', 'read of a result', 'read of nothing'];
    expect(rows.slice(0, 4).map(({ name }) => name)).to.deep.equal(
      calls.map((call) => `native, device double, depth 64, ${call} and that of fs/dlm`),
    );
    for (const name of names) expect(stdout).to.include(`| ${name}`);
    expect(stdout, 'the limits stand beside the figures').to.include('no contention');
  });

  const promises = (depth: number): Row | undefined =>
    rows.find(({ name }) => name === `native, promises and the glue, 1 CPU, depth ${depth}, loop`);

  it('compares promises with the glue, and has the targets beside it', () => {
    expect(promises(1)?.target).to.deep.equal({ atLeast: 0.8, by: 'cpu' });
    expect(promises(64)?.target).to.deep.equal({ atLeast: 0.85, by: 'cpu' });
    expect(stdout.match(/the glue, .* ≥ 0.85? by CPU time (met|MISSED)/g)).to.have.lengthOf(2);
  });

  it('has three turns of each, on the host', () => {
    for (const row of rows.filter(({ unit }) => unit === '1/s')) {
      expect(row.rates).to.have.lengthOf(3);
      expect(row.references).to.have.lengthOf(3);
      expectMeasured(row.rate, row.reference);
      expect(row.ratio).to.equal(row.rate / row.reference);
      expect(row.machine).to.include({ vcpus: 1, nodes: 0, node: process.version });
    }
  });

  it('counts a write and a result for each request, whoever makes the calls', function () {
    if (/cannot count system calls here.*/.exec(stderr) !== null) skipBecause(this, stderr);
    for (const { name, work, calls } of compared()) {
      const requests = work === 'lock' ? 2 : 1;
      expect(calls!.reference.write, "C's writes").to.be.closeTo(requests, AT_THE_EDGES);
      expect(calls!.reference.read, "C's reads").to.be.at.least(requests - AT_THE_EDGES);
      // Node.js has threads of its own, which wake each other now and then.
      expect(calls!.ours.write, `${name}: writes`).to.be.closeTo(requests, 0.1);
      expect(calls!.ours.read, `${name}: reads`).to.be.at.least(requests - 0.1);
    }
  });

  it('finds what a promise has asked for without a turn of the loop', function () {
    if (/cannot count system calls here.*/.exec(stderr) !== null) skipBecause(this, stderr);
    // One turn for each request would be two; one for each batch of looks is an eighth.
    expect(promises(1)!.calls!.ours.epoll_pwait ?? 0).to.be.below(0.5);
  });

  it('draws the rates, and the calls where they were counted', () => {
    const kinds = compared().some(({ calls }) => calls !== undefined)
      ? ['rates', 'calls']
      : ['rates'];
    for (const kind of kinds) {
      const svg = readFileSync(join(folder, `rows-${kind}-1.svg`), 'utf8');
      for (const text of ['<svg', 'thread', 'keeper', 'NL&lt;-&gt;EX']) {
        expect(svg, kind).to.include(text);
      }
    }
  });
});
