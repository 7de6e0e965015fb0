/**
 * Locks with promises on three real nodes: what the emulations show, where the kernel's DLM serves, and what
 * they cannot show: a node that is cut off, and what both sides of it are told.
 */
import { expect } from 'chai';

import { StaleTokenError, TokenStore } from '../../scripts/examples/token-store.js';
import { GuestService } from '../../scripts/kills/guest-service.js';
import { LineProcess, TEST_TIMEOUT_MS, useCluster } from '../support/vm-world.js';
import { untilThreads } from '../support/whereabouts.js';

const GROUP = 'promises';
const MODES = ['NL', 'CR', 'CW', 'PR', 'PW', 'EX'];

describe('locks with promises on three nodes', function () {
  this.timeout(TEST_TIMEOUT_MS);
  const getCluster = useCluster({ nodes: 3, membership: 'corosync' });
  const services: LineProcess[] = [];

  before(async () => {
    for (const [index, submit] of ['thread', 'keeper', 'thread'].entries()) {
      const node = getCluster().node(index + 1);
      const service = new LineProcess(
        node,
        `exec node dist/test/guest/lock-service.js ${GROUP} ${submit}`,
      );
      expect(await service.line()).to.equal(`ready ${index + 1}`);
      services.push(service);
    }
  });

  it('one has the lock, and the others wait, time out, or are told that it is busy', async () => {
    const [a, b, c] = services as [LineProcess, LineProcess, LineProcess];
    expect(await a.ask('lock one EX')).to.equal('granted');
    expect(await b.ask('try one PR')).to.equal('busy');
    expect(await c.ask('lock one EX 50')).to.equal('ERR_DLM_TIMEOUT');
    b.send('lock one EX');
    expect(await a.ask('release one')).to.equal('released');
    expect(await b.line()).to.equal('granted');
    expect(await b.ask('convert one PR')).to.equal('granted');
    expect(await c.ask('lock one PR')).to.equal('granted');
    expect(await c.ask('convert one EX 50')).to.equal('ERR_DLM_TIMEOUT');
    for (const service of [b, c]) expect(await service.ask('release one')).to.equal('released');
    expect(await a.ask('try one EX')).to.equal('granted');
    expect(await a.ask('release one')).to.equal('released');
  });

  it('a value is read as it was written, over the whole table of pairs of modes', async () => {
    const [a, b, c] = services as [LineProcess, LineProcess, LineProcess];
    const writes = (mode: string): boolean => mode === 'PW' || mode === 'EX';
    let count = 0;
    for (const from of MODES) {
      for (const to of MODES) {
        const name = `${from}-${to}`;
        // The pin's node is the master.
        expect(await b.ask(`value ${name} NL`)).to.equal('granted');
        expect(await c.ask(`value ${name} EX`)).to.equal('granted');
        expect(await c.ask(`see ${name}`)).to.equal('unwritten');
        let now = `v${(count += 1)}`;
        await c.ask(`put ${name} ${now}`);
        expect(await c.ask(`release ${name}`)).to.equal('released');
        expect(await a.ask(`value ${name} ${from}`)).to.equal('granted');
        if (writes(from)) await a.ask(`put ${name} ${(now = `v${(count += 1)}`)}`);
        expect(await a.ask(`convert ${name} ${to}`)).to.equal('granted');
        const seen = await a.ask(`see ${name}`);
        if (to === 'NL' || to === 'CR') expect(seen, name).to.match(/^stale/);
        else expect(seen, name).to.equal(`fresh ${now}`);
        if (writes(to)) {
          await a.ask(`put ${name} ${(now = `v${(count += 1)}`)}`);
          expect(await a.ask(`write ${name}`)).to.equal('written');
        }
        expect(await a.ask(`release ${name}`)).to.equal('released');
        expect(await c.ask(`value ${name} PR`)).to.equal('granted');
        expect(await c.ask(`see ${name}`), name).to.equal(`fresh ${now}`);
        for (const each of [b, c]) expect(await each.ask(`release ${name}`)).to.equal('released');
      }
    }
  });

  it('the examples run as they are', async () => {
    for (const example of ['dist/scripts/examples/first-lock.js', 'scripts/examples/plain.mjs']) {
      const { stdout } = await getCluster().node(1).exec(`node ${example}`);
      expect(stdout).to.contain('has EX on inode/42');
    }
    const { stdout } = await getCluster().node(1).exec('node dist/scripts/examples/resume.js');
    expect(stdout.split('\n').slice(0, 2)).to.deep.equal([
      'the service has ended with 1; others are kept out',
      'goes on after step 2',
    ]);
    expect(stdout).to.contain('the service has ended with 0; others are let in');
  });

  it('a service that is killed takes its lock up again, and nobody had it in between', async () => {
    const [a, b, c] = services as [LineProcess, LineProcess, LineProcess];
    for (const submit of ['thread', 'keeper']) {
      const start = async (): Promise<LineProcess> => {
        const command = `exec node dist/test/guest/lock-service.js ${GROUP} ${submit}`;
        const service = new LineProcess(getCluster().node(2), command);
        expect(await service.line()).to.equal('ready 2');
        return service;
      };
      const first = await start();
      expect(await first.ask('adopt kept EX')).to.equal('none');
      expect(await first.ask('keep kept EX step-3')).to.equal('granted');
      // Waits from before the end on, and is not let in.
      a.send('lock kept EX');
      first.kill('SIGKILL');
      await first.exit;
      expect(await c.ask('try kept PR')).to.equal('busy');

      const second = await start();
      expect(await second.ask('resume kept EX')).to.equal('fresh step-3');
      expect(await c.ask('try kept PR')).to.equal('busy');
      expect(await second.ask('convert kept PR')).to.equal('granted');
      const pid = await second.ask('pid');
      expect(pid).not.to.equal(await b.ask('pid'));
      // In good order, and it stays all the same.
      second.end();
      expect(await second.exit).to.equal(0);
      expect(await b.ask('adopt kept EX')).to.equal('ERR_DLM_ORPHAN_MODE');
      expect(await c.ask('try kept PW')).to.equal('busy');

      expect(await b.ask(`purge ${pid}`)).to.equal('purged');
      expect(await a.line()).to.equal('granted');
      expect(await a.ask('release kept')).to.equal('released');
      expect(await b.ask('adopt kept PR')).to.equal('none');
    }
  });

  it('a node that is killed is told of before what it held is granted', async () => {
    const [a, b, c] = services as [LineProcess, LineProcess, LineProcess];
    expect(await c.ask('lock three EX')).to.equal('granted');
    // Its value is one that others have seen, and that it may have changed.
    expect(await a.ask('value kept NL')).to.equal('granted');
    expect(await b.ask('value kept EX')).to.equal('granted');
    await b.ask('put kept old');
    expect(await b.ask('release kept')).to.equal('released');
    expect(await c.ask('value kept EX')).to.equal('granted');
    await c.ask('put kept new');
    await a.ask('told');
    a.send('lock three EX');
    await getCluster().kill(3);
    expect(await a.line()).to.equal('granted');
    const told = (await a.ask('told')).split(',');
    expect(told).to.include('failed 3');
    expect(told.indexOf('failed 3')).to.be.below(told.indexOf('granted three'));
    expect(await a.ask('release three')).to.equal('released');
    expect(await b.ask('try three EX')).to.equal('granted');
    expect(await b.ask('release three')).to.equal('released');
    expect(await b.ask('value kept PR')).to.equal('granted');
    expect(await b.ask('see kept')).to.equal('invalid old');
    expect(await b.ask('release kept')).to.equal('released');
    await getCluster().restart(3);
  });

  const store = new TokenStore();
  const writers: GuestService[] = [];
  const tokenOf = (line: string): bigint => BigInt(line.split(' ')[1] ?? '');
  let early: bigint;

  it('a service that holds a lock, and has looked that it does, may be stopped', async () => {
    for (const id of [1, 2]) {
      writers.push(await GuestService.start(getCluster().node(id), 'tokens', 'thread'));
    }
    const [first] = writers as [GuestService];
    early = tokenOf(await first.ask('take volume'));
    store.write('volume', early, 'early');
    const pid = Number(await first.ask('pid'));
    expect(await first.ask('late volume')).to.equal('held');
    await untilThreads(getCluster().node(1), pid, (threads) =>
      threads.every(({ state }) => state === 'T'),
    );
  });

  it('a node that is cut off is unsure, and its waits end in time while nothing moves', async () => {
    const [a] = services as [LineProcess];
    expect(await a.ask('lock held EX')).to.equal('granted');
    await a.ask('told');
    await getCluster().isolate(1);
    expect(await a.ask('wait unsure quorumLost')).to.equal('unsure quorumLost');
    expect(await a.ask('health')).to.equal('unsure quorumLost');
    // Neither the request nor its cancel gets anywhere.
    expect(await a.ask('lock new EX 50')).to.equal('ERR_DLM_TIMEOUT');
    expect(await a.ask('withdrawals')).to.equal('1');
  });

  it('when the stopped service goes on, others have its lock, and its late write is refused', async () => {
    const [first, second] = writers as [GuestService, GuestService];
    const newer = tokenOf(await second.ask('take volume'));
    expect(newer > early, `${newer} above ${early}`).to.equal(true);
    expect(store.read('volume', newer)).to.equal('early');
    store.write('volume', newer, 'newer');
    first.kill('SIGCONT');
    expect(await first.hear()).to.equal(`late ${early}`);
    expect(() => store.write('volume', early, 'late')).to.throw(StaleTokenError);
    expect(store.read('volume', newer)).to.equal('newer');
  });
});
