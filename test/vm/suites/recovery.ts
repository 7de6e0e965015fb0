/**
 * What the survivors of a failure are told, and when: the recovery handler is called once for each
 * node that has failed, before any grant that its failure makes, and for no node that has left.
 */
import { expect } from 'chai';
import { constants } from 'node:os';

import type { NodeDriver, NodeEvent } from '../../../lib/conformance/index.js';
import { DLM_LKF, DLM_LOCK } from '../../../lib/glue.js';
import type { Cluster } from '../../../scripts/vm/index.js';
import {
  keepDlmRunning,
  type Kernel,
  startAgent,
  TEST_TIMEOUT_MS,
  useCluster,
} from '../../support/vm-world.js';

const { NL, PR, EX } = DLM_LOCK;
const { EAGAIN } = constants.errno;

/** A running agent for each node, by the node's number. */
type Agents = Map<number, NodeDriver>;

/** Starts agents on those of all nodes that have none. */
async function startAgents(cluster: Cluster, agents: Agents): Promise<void> {
  await Promise.all(
    cluster.nodes.map(async ({ id }) => {
      if (!agents.has(id)) agents.set(id, await startAgent(cluster, id));
    }),
  );
}

/** Boots nodes again that have failed, and gives them agents. */
async function restart(cluster: Cluster, agents: Agents, ids: readonly number[]): Promise<void> {
  for (const id of ids) {
    agents.delete(id);
    await cluster.restart(id);
    await cluster.node(id).exec('dlm_tool join keep');
  }
  await startAgents(cluster, agents);
}

/**
 * One lockspace with everybody in it, in which some are to fail: for each of them, and each node that
 * may be a resource's master, a resource that it holds and that all others wait for.
 */
class Scene {
  readonly #group: string;
  readonly #agents: Agents;
  #victims: readonly number[] = [];
  #resources: string[] = [];
  #rounds = 0;

  constructor(group: string, agents: Agents) {
    this.#group = group;
    this.#agents = agents;
  }

  get #survivors(): NodeDriver[] {
    return [...this.#agents.values()].filter(({ number }) => !this.#victims.includes(number));
  }

  /** Everybody connects: one first, if it says so, and so becomes master of the lock of versions. */
  async set(first?: number): Promise<void> {
    const connect = (agent: NodeDriver): Promise<unknown> => {
      agent.begin(this.#group);
      return agent.connect('pcmk', this.#group, [1, 0], { recoveryData: this.#group });
    };
    if (first !== undefined) await connect(this.#agent(first));
    const others = [...this.#agents.values()].filter(({ number }) => number !== first);
    await Promise.all(others.map(connect));
  }

  async wait(...victims: number[]): Promise<void> {
    this.#victims = victims;
    this.#rounds += 1;
    this.#resources = [];
    for (const victim of victims) {
      for (const master of this.#agents.keys()) await this.#block(victim, master);
    }
  }

  async #block(victim: number, master: number): Promise<void> {
    const name = `${victim} ${master} ${this.#rounds}`;
    this.#resources.push(name);
    // Whoever is first on a resource is its master.
    await this.#agent(master).lock(`master of ${name}`, name, NL);
    await this.#agent(victim).lock(`holder of ${name}`, name, EX);
    for (const survivor of this.#survivors) {
      expect(await survivor.ask(`waiter for ${name}`, name, PR)).to.equal(0);
    }
    await this.#agent(victim).blockingAst(`holder of ${name}`);
  }

  /** So far nobody who waits has been granted anything. */
  checkNothingGranted(): void {
    for (const survivor of this.#survivors) {
      for (const name of this.#resources) {
        expect(survivor.completionsOf(`waiter for ${name}`)).to.deep.equal([]);
      }
    }
  }

  /** Waits until all that the failures do to the survivors has been done to them. */
  async checkFailures(): Promise<void> {
    for (const survivor of this.#survivors) {
      for (const victim of this.#victims) {
        expect((await survivor.nodeDown(victim)).recoveryData).to.equal(this.#group);
      }
      for (const name of this.#resources) {
        expect((await survivor.lockAst(`waiter for ${name}`)).status).to.equal(0);
      }
    }
    for (const survivor of this.#survivors) {
      await roundTrip(survivor);
      const deaths = deathsIn(survivor);
      expect(deaths, `deaths told to node ${survivor.number}`).to.have.members([...this.#victims]);
      expect(leavesIn(survivor), `leaves told to node ${survivor.number}`).to.deep.equal([]);
      const lastDeath = survivor.history.findLastIndex(({ event }) => event === 'nodeDown');
      for (const name of this.#resources) {
        const [grant] = survivor.completionsOf(`waiter for ${name}`) as [NodeEvent];
        expect(survivor.history.indexOf(grant), `grant of ${name}`).to.be.above(lastDeath);
      }
      survivor.checkNothingElseCame();
    }
  }

  /** Everybody who is still there leaves. */
  async clear(): Promise<void> {
    for (const survivor of this.#survivors) await survivor.leave();
  }

  #agent(number: number): NodeDriver {
    const agent = this.#agents.get(number);
    if (agent === undefined) throw new Error(`there is no agent on node ${number}`);
    return agent;
  }
}

/** The nodes whose deaths were told since the test began. */
function deathsIn(agent: NodeDriver): number[] {
  return agent.history.flatMap((event) => (event.event === 'nodeDown' ? [event.node] : []));
}

/** The nodes that the main connection was told to have left. */
function leavesIn(agent: NodeDriver): number[] {
  return agent.noticesOn().flatMap((notice) => (notice.kind === 'memberLeft' ? [notice.node] : []));
}

/** When this has come back, all that was to be told before has been told. */
async function roundTrip(agent: NodeDriver): Promise<void> {
  const lock = `round trip ${agent.history.length}`;
  await agent.lock(lock, `of ${agent.number}`, EX);
  await agent.unlock(lock);
}

/** Waits until a node's kernel has no such member of a lockspace. */
async function untilLeft(cluster: Cluster, on: number, group: string, node: number): Promise<void> {
  const member = `/sys/kernel/config/dlm/cluster/spaces/${group}/nodes/${node}`;
  await cluster.node(on).exec(`while [ -e ${member} ]; do usleep 20000; done`);
}

export function failuresInFive(kernel: Kernel): void {
  describe(`failures in a cluster of five with corosync and ${kernel}`, function () {
    this.timeout(TEST_TIMEOUT_MS);
    const getCluster = useCluster({ nodes: 5, membership: 'corosync', kernel });
    const agents: Agents = new Map();
    const OTHERS = [1, 2, 3, 4];

    before(async () => {
      await keepDlmRunning(getCluster());
      await startAgents(getCluster(), agents);
    });

    /** A lockspace from which node 5 goes by itself; nobody may be told of a death. */
    async function checkLeave(
      group: string,
      leave: () => Promise<unknown>,
      first?: number,
    ): Promise<void> {
      const scene = new Scene(group, agents);
      await scene.set(first);
      const { ring } = await agents.get(1)!.knownMembership();
      await leave();
      for (const id of OTHERS) await untilLeft(getCluster(), id, group, 5);
      for (const id of OTHERS) {
        const agent = agents.get(id)!;
        const { notice, recoveryData } = await agent.notice('memberLeft');
        expect(notice).to.include({ kind: 'memberLeft', node: 5, locks: 'valid' });
        expect(recoveryData).to.equal(group);
        // The node is there as before. A keeper that takes long may tell that later than the leave is told.
        const told = 'ring' in notice ? notice.ring : undefined;
        expect(told ?? ring).to.equal(ring);
        expect((await agent.knownMembership()).ring).to.equal(ring);
        await roundTrip(agent);
        expect(leavesIn(agent), `leaves told to node ${id}`).to.deep.equal([5]);
        expect(deathsIn(agent), `deaths told to node ${id}`).to.deep.equal([]);
        agent.checkNothingElseCame();
      }
      await scene.clear();
    }

    it('are not what it is when a process disconnects', () =>
      checkLeave('disconnects', () => agents.get(5)!.disconnect()));

    // As the master of the lock of versions, which all the others hold.
    it('are not what it is when a process disconnects whose node is master of what others hold', () =>
      checkLeave('masters', () => agents.get(5)!.disconnect(), 5));

    it('are not what it is when a process disconnects that leaves an orphan to be adopted', async () => {
      const scene = new Scene('orphans', agents);
      await scene.set(5);
      const owner = agents.get(5)!;
      const mine = 'of node 5';
      await owner.lock('first', mine, EX, DLM_LKF.PERSISTENT);
      await owner.disconnect();
      for (const id of OTHERS) {
        const agent = agents.get(id)!;
        expect((await agent.lock('tries', mine, PR, DLM_LKF.NOQUEUE)).status).to.equal(-EAGAIN);
        expect([deathsIn(agent), leavesIn(agent)]).to.deep.equal([[], []]);
      }
      await owner.connect('pcmk', 'orphans');
      await owner.lock('again', mine, EX, DLM_LKF.ORPHAN);
      await owner.unlock('again');
      await owner.disconnect();
      // The release that the kernel refused is one that it still counts on.
      await getCluster().node(5).exec('dlm_tool leave orphans');
      for (const id of OTHERS) await agents.get(id)!.notice('memberLeft', { node: 5 });
      await scene.clear();
    });

    it("are not what it is when a node's last process releases the lockspace", () =>
      checkLeave('releases', async () => {
        await getCluster().node(5).exec('dlm_tool join releases');
        await agents.get(5)!.disconnect();
        await getCluster().node(5).exec('dlm_tool leave releases');
      }));

    it('are not what it is when a process disconnects beside another on its node', async () => {
      const scene = new Scene('beside', agents);
      await getCluster().node(5).exec('dlm_tool join beside');
      await scene.set();
      await agents.get(5)!.disconnect();
      for (const id of OTHERS) {
        await roundTrip(agents.get(id)!);
        expect([deathsIn(agents.get(id)!), leavesIn(agents.get(id)!)]).to.deep.equal([[], []]);
      }
      await getCluster().node(5).exec('dlm_tool leave beside');
      for (const id of OTHERS) await agents.get(id)!.notice('memberLeft', { node: 5 });
      await scene.clear();
    });

    it('change the members, which have numbers, names and addresses', async () => {
      const scene = new Scene('members', agents);
      const members = (ids: readonly number[]) =>
        ids.map((node) => ({ node, name: `n${node}`, addresses: [`10.77.0.${node}`] }));
      await scene.set();
      for (const agent of agents.values()) {
        await roundTrip(agent);
        expect(await agent.members()).to.deep.equal(members([1, 2, 3, 4, 5]));
      }
      await agents.get(5)!.disconnect();
      for (const id of OTHERS) {
        await agents.get(id)!.notice('memberLeft', { node: 5 });
        expect(await agents.get(id)!.members()).to.deep.equal(members(OTHERS));
      }
      for (const id of OTHERS) agents.get(id)!.begin('members again');
      await agents.get(5)!.connect('pcmk', 'members');
      for (const id of OTHERS) {
        expect((await agents.get(id)!.notice('memberJoined')).notice).to.deep.include({ node: 5 });
        expect(await agents.get(id)!.members()).to.deep.equal(members([1, 2, 3, 4, 5]));
      }
      await scene.clear();
    });

    it('are told once, before any grant that they make', async () => {
      const scene = new Scene('first', agents);
      await scene.set();
      await scene.wait(5);
      await getCluster().kill(5);
      await scene.checkFailures();
      await scene.clear();
    });

    it('are told again of a node that has come back and fails again', async () => {
      const scene = new Scene('again', agents);
      await restart(getCluster(), agents, [5]);
      await scene.set();
      await scene.wait(5);
      await getCluster().kill(5);
      await scene.checkFailures();
      // In the same lockspace, on the same connections of the others.
      await restart(getCluster(), agents, [5]);
      for (const id of OTHERS) agents.get(id)!.begin('once more');
      const returned = agents.get(5)!;
      returned.begin('once more');
      await returned.connect('pcmk', 'again');
      await scene.wait(5);
      await getCluster().kill(5);
      await scene.checkFailures();
      await scene.clear();
    });

    it('are told of a node whose dlm_controld alone has died', async () => {
      const scene = new Scene('daemon', agents);
      await restart(getCluster(), agents, [5]);
      await scene.set();
      await scene.wait(5);
      await getCluster().node(5).exec('kill -9 $(pidof dlm_controld)');
      await scene.checkFailures();
      await scene.clear();
    });

    it('are told of two nodes that fail at the same instant', async () => {
      const scene = new Scene('both', agents);
      await restart(getCluster(), agents, [5]);
      await scene.set();
      await scene.wait(4, 5);
      await Promise.all([getCluster().kill(4), getCluster().kill(5)]);
      await scene.checkFailures();
      await scene.clear();
    });
  });
}

export function failuresAtExactMoments(kernel: Kernel): void {
  describe(`failures at exact moments with ${kernel}`, function () {
    this.timeout(TEST_TIMEOUT_MS);
    const getCluster = useCluster({ nodes: 3, membership: 'host', kernel, evictKilled: false });
    const agents: Agents = new Map();

    before(async () => {
      await keepDlmRunning(getCluster());
      await startAgents(getCluster(), agents);
    });

    it('are told of two nodes that are removed in one change', async () => {
      const scene = new Scene('one-change', agents);
      await scene.set();
      await scene.wait(2, 3);
      await Promise.all([getCluster().kill(2), getCluster().kill(3)]);
      await getCluster().evict([2, 3]);
      await scene.checkFailures();
      await scene.clear();
    });

    it('are told of a node that dies in the midst of the recovery from another', async () => {
      await restart(getCluster(), agents, [2, 3]);
      const scene = new Scene('midst', agents);
      await scene.set();
      await scene.wait(2, 3);
      await getCluster().kill(2);
      await getCluster().evict(2, { beforeStart: () => getCluster().kill(3) });
      // Without node 3 the recovery from node 2 cannot end, and nothing is granted.
      const node = getCluster().node(1);
      // It has begun when those who recover wait for the status of node 3, in each lockspace.
      const waits = 'grep -q dlm_rcom_status /proc/$thread/stack';
      await node.exec(
        `for thread in $(pidof dlm_recoverd); do until ${waits}; do usleep 20000; done; done`,
      );
      const { stdout } = await node.exec('cat /sys/kernel/dlm/midst/recover_status');
      expect(Number.parseInt(stdout, 16) & 0x40, 'recovery done').to.equal(0);
      scene.checkNothingGranted();
      await getCluster().evict(3);
      await scene.checkFailures();
      await scene.clear();
    });
  });
}
