/**
 * What a connection is told of its lockspace beside the deaths of nodes: that it has stopped and runs
 * again, that quorum or the daemon is lost, that somebody has released it; and what that means for the
 * locks that it holds.
 */
import { expect } from 'chai';
import { constants } from 'node:os';

import type { NodeDriver } from '../../../lib/conformance/index.js';
import { DLM_LKF, DLM_LOCK, type ClusterNotice } from '../../../lib/glue.js';
import {
  complaintsOn,
  controlCommand,
  keepDlmRunning,
  type Kernel,
  startAgent,
  TEST_TIMEOUT_MS,
  useCluster,
} from '../../support/vm-world.js';

const { EX, PR } = DLM_LOCK;
const { NOQUEUE } = DLM_LKF;
const { errno } = constants;

/** The kinds of a connection's notices, without those about members. */
function statesOf(agent: NodeDriver): ClusterNotice['kind'][] {
  return agent
    .noticesOn()
    .map(({ kind }) => kind)
    .filter((kind) => kind !== 'memberJoined' && kind !== 'memberLeft');
}

/** What came before is over: the lockspace runs, and that has been told. */
async function settle(agent: NodeDriver): Promise<void> {
  await agent.lock('settle', `settle ${agent.number}`, EX);
  await agent.unlock('settle');
  const told = (kind: ClusterNotice['kind']): number =>
    statesOf(agent).filter((each) => each === kind).length;
  for (let resumed = 0; resumed < told('stopped'); resumed += 1) await agent.notice('resumed');
}

export function notices(kernel: Kernel): void {
  describe(`notices of a lockspace with ${kernel}`, function () {
    this.timeout(TEST_TIMEOUT_MS);
    const getCluster = useCluster({ nodes: 2, membership: 'host', kernel });
    let first: NodeDriver;
    let second: NodeDriver;

    before(async () => {
      await keepDlmRunning(getCluster());
      first = await startAgent(getCluster(), 1);
      second = await startAgent(getCluster(), 2);
    });

    /** Both join, and node 1 has heard of it. */
    async function connect(group: string): Promise<void> {
      for (const agent of [first, second]) {
        agent.begin(group);
        await agent.connect('pcmk', group, [1, 0], { recoveryData: group });
      }
      await first.notice('memberJoined', { node: 2 });
      await settle(first);
      for (const agent of [first, second]) agent.begin(`${group} connected`);
    }

    const write = (value: 0 | 1, group: string): Promise<unknown> =>
      getCluster().node(1).exec(controlCommand(group, value));

    it('tell when it stops and when it runs again', async () => {
      await connect('stops');
      await first.lock('held', 'held', EX);
      for (let round = 0; round < 3; round += 1) {
        first.begin(`stops ${round}`);
        await write(0, 'stops');
        expect(await first.notice('stopped')).to.deep.include({
          notice: { kind: 'stopped', locks: 'valid' },
          recoveryData: 'stops',
        });
        expect(await first.ask('new', `new ${round}`, EX)).to.equal(0);
        await write(1, 'stops');
        expect((await first.notice('resumed')).notice).to.deep.equal({
          kind: 'resumed',
          locks: 'valid',
        });
        expect((await first.lockAst('new')).status).to.equal(0);
        expect(statesOf(first)).to.deep.equal(['stopped', 'resumed']);
        first.checkNothingElseCame();
      }
      await first.disconnect();
      await second.disconnect();
    });

    it('are no obstacle to what another node asks in between', async () => {
      await connect('asked-in-between');
      await first.lock('held', 'held', EX);
      await write(0, 'asked-in-between');
      await first.notice('stopped');
      // The recovery needs answers of node 2, which come after this.
      expect(await second.ask('waits', 'held', EX)).to.equal(0);
      await write(1, 'asked-in-between');
      await first.blockingAst('held');
      await first.notice('resumed');
      await first.unlock('held');
      expect((await second.lockAst('waits')).status).to.equal(0);
      await first.disconnect();
      await second.disconnect();
      for (const node of getCluster().nodes) expect(await complaintsOn(node)).to.deep.equal([]);
    });

    it('tell when it is released by somebody else on the node', async () => {
      await connect('released');
      await first.lock('held', 'held', EX);
      await first.lock('beside', 'beside', PR);
      expect(await second.ask('waits', 'held', EX)).to.equal(0);
      await first.blockingAst('held');
      // Not awaited: the kernel lets it go on when nobody has the device open any more.
      const leaving = getCluster().node(1).exec('dlm_tool leave released');
      expect(await first.notice('released')).to.deep.include({
        notice: { kind: 'released', locks: 'lost' },
        recoveryData: 'released',
      });
      expect((await second.lockAst('waits')).status).to.equal(0);
      // The kernel would grant it, without asking anybody.
      expect(await first.ask('more', 'more', EX)).to.equal(-errno.ENOTCONN);
      expect(await first.askConvert('beside', EX)).to.equal(-errno.ENOTCONN);
      expect(await first.askUnlock('held')).to.equal(-errno.ENOTCONN);
      expect(statesOf(first).filter((kind) => kind === 'released')).to.have.length(1);
      await first.disconnect();
      await leaving;
      first.checkNothingElseCame();

      await first.connect('pcmk', 'released');
      expect((await first.lock('again', 'held', EX, NOQUEUE)).status).to.equal(-errno.EAGAIN);
      await second.unlock('waits');
      await first.lock('at last', 'held', EX);
      await first.disconnect();
      await second.disconnect();
    });

    it('tell when it has stopped because there is no daemon', async () => {
      await connect('daemon');
      await first.lock('held', 'held', EX);
      // The host's hands are the daemon here. The kernel stops all lockspaces without them.
      await getCluster().node(1).exec('kill -9 $(pidof dlm-hands)');
      expect((await first.notice('stopped')).notice).to.deep.equal({
        kind: 'stopped',
        locks: 'valid',
      });
      expect(await second.ask('waits', 'held', EX)).to.equal(0);
      await getCluster().evict(1);
      await second.nodeDown(1);
      expect((await second.lockAst('waits')).status).to.equal(0);
    });
  });
}

export function noticesWithCorosync(): void {
  describe('notices of a cluster with corosync', function () {
    this.timeout(TEST_TIMEOUT_MS);
    const getCluster = useCluster({ nodes: 3, membership: 'corosync' });
    let agents: NodeDriver[] = [];
    const of = (id: number): NodeDriver => agents[id - 1]!;

    /** All nodes boot if need be and join a new lockspace. */
    async function begin(group: string, ...restarted: number[]): Promise<void> {
      for (const id of restarted) {
        await getCluster().restart(id);
        await getCluster().node(id).exec('dlm_tool join keep');
        agents[id - 1] = await startAgent(getCluster(), id);
      }
      for (const agent of agents) {
        agent.begin(group);
        await agent.connect('pcmk', group);
      }
      for (const agent of agents) await settle(agent);
      for (const agent of agents) agent.begin(`${group} connected`);
    }

    before(async () => {
      await keepDlmRunning(getCluster());
      agents = await Promise.all([1, 2, 3].map((id) => startAgent(getCluster(), id)));
    });

    it('tell a node that has lost its daemon, and that its locks are unsure', async () => {
      await begin('no-daemon');
      await of(3).lock('held', 'held', EX);
      await getCluster().node(3).exec('kill -9 $(pidof dlm_controld)');
      expect((await of(3).notice('daemonGone')).notice).to.deep.equal({
        kind: 'daemonGone',
        locks: 'unsure',
      });
      await of(3).notice('stopped');
      expect(statesOf(of(3)).filter((kind) => kind === 'daemonGone')).to.have.length(1);
      await of(1).nodeDown(3);
      expect((await of(1).lock('l', 'held', EX)).status).to.equal(0);
      for (const id of [1, 2]) {
        expect(statesOf(of(id))).not.to.include('daemonGone');
        await of(id).disconnect();
      }
    });

    it('tell a node that is cut off that its locks are unsure', async () => {
      await begin('cut-off', 3);
      await of(3).lock('held', 'held', EX);
      const before = await of(3).knownMembership();
      await getCluster().isolate(3);
      expect((await of(3).notice('quorumLost')).notice).to.deep.equal({
        kind: 'quorumLost',
        ring: before.ring,
        locks: 'unsure',
      });
      // What it holds is of the membership before.
      expect(await of(3).membership()).to.deep.equal({ ring: before.ring, isQuorate: false });
      await of(3).notice('stopped');
      await of(1).nodeDown(3);
      // Without fencing the others take its locks at once.
      expect((await of(1).lock('l', 'held', EX)).status).to.equal(0);
      expect(await of(3).ask('more', 'more', EX)).to.equal(0);
      expect(statesOf(of(3)))
        .not.to.include('resumed')
        .and.not.to.include('quorumRegained');
      for (const id of [1, 2]) {
        expect(statesOf(of(id))).not.to.include('quorumLost');
        await of(id).disconnect();
      }
      await getCluster().heal();
    });

    it('tell the ring of the nodes, which a process does not move', async () => {
      await begin('ring', 3);
      const start = await of(1).knownMembership();
      expect(start.isQuorate).to.equal(true);
      for (const id of [2, 3]) expect(await of(id).knownMembership()).to.deep.equal(start);
      await of(2).disconnect();
      const left = (await of(1).notice('memberLeft', { node: 2 })).notice;
      await of(2).connect('pcmk', 'ring');
      const joined = (await of(1).notice('memberJoined', { node: 2 })).notice;
      // A keeper that takes long may tell it later.
      for (const told of [left, joined]) {
        const ring = 'ring' in told ? told.ring : undefined;
        expect(ring ?? start.ring).to.equal(start.ring);
      }
      expect(await of(1).knownMembership()).to.deep.equal(start);
      await getCluster().kill(3);
      for (const id of [1, 2]) {
        const { ring } = await of(id).nodeDown(3);
        const now = await of(id).knownMembership();
        expect(BigInt(now.ring) > BigInt(start.ring), `${now.ring} of ${id}`).to.equal(true);
        expect(now.isQuorate).to.equal(true);
        expect(ring ?? now.ring).to.equal(now.ring);
        console.log(
          `      node ${id}: ring ${start.ring}, then ${ring ?? 'not told'}, ${now.ring}`,
        );
      }
      expect(await of(1).membership()).to.deep.equal(await of(2).membership());
      for (const id of [1, 2]) await of(id).disconnect();
    });

    it('tell a node that is left alone, and when others have come back', async () => {
      await begin('alone', 3);
      await of(1).lock('held', 'held', EX);
      await of(2).lock('theirs', 'theirs', EX);
      await Promise.all([getCluster().kill(2), getCluster().kill(3)]);
      await of(1).notice('quorumLost');
      await of(1).notice('stopped');
      expect(await of(1).ask('l', 'theirs', EX)).to.equal(0);
      expect(statesOf(of(1)))
        .not.to.include('resumed')
        .and.not.to.include('quorumRegained');
      expect(of(1).completionsOf('l')).to.deep.equal([]);

      await getCluster().restart(2);
      await of(1).notice('quorumRegained');
      await of(1).notice('resumed');
      await of(1).nodeDown(2);
      await of(1).nodeDown(3);
      expect((await of(1).lockAst('l')).status).to.equal(0);
      const told = of(1).history.map((event) =>
        event.event === 'notice' ? event.notice.kind : event.event,
      );
      expect(told.lastIndexOf('nodeDown')).to.be.below(told.lastIndexOf('lockAst'));
      expect(told.indexOf('quorumLost')).to.be.below(told.indexOf('quorumRegained'));
      expect(told.indexOf('quorumRegained')).to.be.below(told.lastIndexOf('resumed'));
      await of(1).disconnect();
    });
  });
}
