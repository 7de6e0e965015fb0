/**
 * A node that is cut off: its lockspaces stop, and the programs that use them go on. Where the threads are is
 * what is looked at, in the kernel: one that makes calls waits in the DLM, and the loop never does, unless it
 * makes the calls itself.
 */
import { expect } from 'chai';

import type { GuestNode } from '../../scripts/vm/index.js';
import type { Submitter } from '../support/user-plugin.js';
import { LineProcess, TEST_TIMEOUT_MS, useCluster } from '../support/vm-world.js';
import {
  keeperOf,
  oneWaitsInDlm,
  threadsOf,
  untilThreads,
  waitsInDlm,
} from '../support/whereabouts.js';

/** A watched-service in a guest, and who keeps its lockspace. */
interface Service {
  readonly lines: LineProcess;
  readonly pid: number;
  readonly port: number;
  readonly keeper: number;
}

describe('a node that is cut off', function () {
  this.timeout(TEST_TIMEOUT_MS);
  const getCluster = useCluster({ nodes: 3, membership: 'corosync' });
  let node: GuestNode;
  const services = new Map<Submitter, Service>();

  /** A service on node 1, in a lockspace of its own that others are in: alone it is without quorum. */
  async function start(submit: Submitter): Promise<void> {
    const group = `watched-${submit}`;
    for (const id of [2, 3]) await getCluster().node(id).exec(`dlm_tool join ${group}`);
    const lines = new LineProcess(
      node,
      `exec node dist/test/guest/watched-service.js ${group} ${submit}`,
    );
    const [ready, pid, port] = (await lines.line()).split(' ');
    expect(ready).to.equal('ready');
    const keeper = await keeperOf(node, group);
    services.set(submit, { lines, pid: Number(pid), port: Number(port), keeper });
  }

  /** Who of a service and of its keeper waits in the DLM: a thread of the service by its name. */
  async function waiting({ pid, keeper }: Service): Promise<string[]> {
    const own = (await threadsOf(node, pid)).filter(waitsInDlm);
    const keepers = (await threadsOf(node, keeper)).filter(waitsInDlm);
    return [
      ...own.map(({ tid, name }) => (tid === pid ? 'the loop' : name)),
      ...keepers.map(() => 'the keeper'),
    ];
  }

  /** Asks a service by HTTP. */
  const get = ({ port }: Service) => node.spawn(`wget -q -O - http://127.0.0.1:${port}/`);

  before(async () => {
    node = getCluster().node(1);
    for (const submit of ['thread', 'keeper', 'loop'] as const) await start(submit);
    for (const { lines } of services.values()) {
      expect(await lines.ask('fall in')).to.equal('waiting');
    }
    await getCluster().isolate(1);
  });

  it('stands still with its loop when that makes the calls', async () => {
    const service = services.get('loop')!;
    await untilThreads(node, service.pid, oneWaitsInDlm);
    expect(await waiting(service)).to.deep.equal(['the loop']);
  });

  for (const [submit, who] of [
    ['thread', 'dlm-lockspace'],
    ['keeper', 'the keeper'],
  ] as const) {
    it(`has ${who} wait in the loop's place with submit: '${submit}'`, async () => {
      const service = services.get(submit)!;
      const { lines, pid, keeper } = service;
      await untilThreads(node, submit === 'thread' ? pid : keeper, oneWaitsInDlm);
      expect(await waiting(service)).to.deep.equal([who]);

      const standing = services.get('loop')!;
      let isAnswered = false;
      const unanswered = get(standing);
      unanswered.exit.then(
        () => (isAnswered = true),
        () => undefined, // its node has ended
      );
      standing.lines.send('completions');

      // Whatever is answered now is answered by a loop whose lockspace stands still.
      expect(await lines.line()).to.equal('asked');
      const request = get(service);
      expect(await request.exit, request.stderrText).to.equal(0);
      expect((request.stdout.read() as Buffer).toString()).to.equal('here');
      expect(await lines.ask('ask again')).to.equal('asked');
      expect(await lines.ask('completions')).to.equal('0');
      expect(await waiting(service)).to.deep.equal([who]);

      expect(await waiting(standing)).to.deep.equal(['the loop']);
      expect(isAnswered, 'by the loop that stands still').to.equal(false);
      unanswered.disconnect();
    });
  }
});
