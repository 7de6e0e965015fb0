/** The nodes of an emulated cluster of stack `user`: what they are told of each other, and their death. */
import { expect } from 'chai';
import { constants } from 'node:os';
import { setImmediate as nextTurn } from 'node:timers/promises';

import {
  createEmulatedUserPlugin,
  DLM_LOCK,
  DlmLksb,
  dlmPurge,
  killEmulatedUserNode,
  StackGlue,
  type ClusterConnection,
} from '../../lib/glue.js';

const { ENOTCONN } = constants.errno;
const GROUP = 'nodes';

/** A node, and all that it was told. */
class Node {
  readonly glue = new StackGlue();
  connection!: ClusterConnection;
  readonly log: string[] = [];
  /** Of the deaths and notices that have one. */
  readonly rings: (bigint | undefined)[] = [];
  #heard: () => void = () => undefined;

  constructor(node: number, cluster: string) {
    this.glue.register(createEmulatedUserPlugin({ node, cluster }));
    this.glue.clusterStack = 'pcmk';
    this.glue.setLockingProtocol({
      maxVersion: { major: 1, minor: 0 },
      lockAst: (lksb) => {
        const status = this.glue.dlmLockStatus(lksb as DlmLksb);
        this.#hear(status === 0 ? 'granted' : `refused ${status}`);
      },
      blockingAst: () => this.#hear('blocking'),
      unlockAst: () => this.#hear('unlocked'),
    });
  }

  /** What is told is what can be read. */
  #seeRing(ring: bigint | undefined): void {
    expect(this.glue.clusterMembership(this.connection)?.ring).to.equal(ring);
    this.rings.push(ring);
  }

  #hear(what: string): void {
    this.log.push(what);
    this.#heard();
  }

  async connect(): Promise<this> {
    this.connection = await this.glue.clusterConnect({
      stackName: 'pcmk',
      group: GROUP,
      recoveryHandler: (node, _, ring) => {
        this.#seeRing(ring);
        this.#hear(`died ${node}`);
      },
      noticeHandler: (notice) => {
        if ('ring' in notice) this.#seeRing(notice.ring);
        this.#hear('node' in notice ? `${notice.kind} ${notice.node}` : notice.kind);
      },
    });
    return this;
  }

  /** Resolves once it has been told that many things. */
  async told(count: number): Promise<string[]> {
    while (this.log.length < count) {
      await new Promise<void>((resolve) => (this.#heard = resolve));
    }
    return this.log.splice(0);
  }

  ask(lksb: DlmLksb): number {
    return this.glue.dlmLock(this.connection, DLM_LOCK.EX, lksb, 0, 'r');
  }

  ring(): bigint {
    const membership = this.glue.clusterMembership(this.connection);
    return membership?.isQuorate === true ? membership.ring : 0n;
  }

  members(): number[] {
    return this.glue.clusterMembers(this.connection).map(({ node }) => node);
  }

  disconnect(): Promise<void> {
    return this.glue.clusterDisconnect(this.connection);
  }
}

async function failureOf(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => undefined,
    (error: unknown) => error,
  );
}

describe('nodes of the emulated stack user', () => {
  let tests = 0;
  let cluster: string;
  let a: Node, b: Node;

  beforeEach(async () => {
    tests += 1;
    cluster = `nodes-${process.pid}-${tests}`;
    b = await new Node(2, cluster).connect();
    a = await new Node(1, cluster).connect();
    expect(await b.told(1)).to.deep.equal(['memberJoined 1']);
  });
  afterEach(async () => {
    for (const node of [a, b]) await node.disconnect();
  });

  it('are all on this machine, which the scope says', () => {
    expect(a.connection.scope).to.equal('process');
    expect(a.glue.clusterThisNode(a.connection)).to.equal(1);
  });

  it('are in one membership, which moves with nodes and not with processes', async () => {
    const before = a.ring();
    expect(before > 0n).to.equal(true);
    expect(b.ring()).to.equal(before);
    const again = new Node(2, cluster);
    await again.connect();
    await again.glue.clusterDisconnect(again.connection);
    await b.glue.clusterDisconnect(b.connection);
    await a.glue.clusterDisconnect(a.connection);
    b = await new Node(2, cluster).connect();
    expect(b.ring(), 'though nobody was there meanwhile').to.equal(before);
    a = await new Node(1, cluster).connect();
    expect(a.ring()).to.equal(before);
    killEmulatedUserNode(1, cluster);
    expect(b.ring(), 'before it has been told').to.equal(before);
    expect((await b.told(2)).at(-1)).to.equal('died 1');
    expect(b.ring()).to.equal(before + 1n);
    expect(a.glue.clusterMembership(a.connection)).to.equal(undefined);
    const third = await new Node(3, cluster).connect();
    expect(await b.told(1)).to.deep.equal(['memberJoined 3']);
    expect(b.ring()).to.equal(before + 2n);
    await third.glue.clusterDisconnect(third.connection);
    expect(await b.told(1)).to.deep.equal(['memberLeft 3']);
    expect(b.ring()).to.equal(before + 2n);
    expect(b.rings).to.deep.equal([before, before + 1n, before + 2n, before + 2n]);
  });

  it('know each other, by number', () => {
    expect(a.glue.clusterMembers(a.connection)).to.deep.equal([
      { node: 1, name: undefined, addresses: [] },
      { node: 2, name: undefined, addresses: [] },
    ]);
  });

  it('are told of one that leaves, before the grant that it leads to', async () => {
    expect(a.ask(new DlmLksb())).to.equal(0);
    expect(await a.told(1)).to.deep.equal(['granted']);
    expect(b.ask(new DlmLksb())).to.equal(0);
    expect(await a.told(1)).to.deep.equal(['blocking']);
    await a.disconnect();
    expect(await b.told(2)).to.deep.equal(['memberLeft 1', 'granted']);
    expect(b.members()).to.deep.equal([2]);
    a = await new Node(1, cluster).connect();
    expect(await b.told(1)).to.deep.equal(['memberJoined 1']);
  });

  it('are told of one that dies by the recovery handler alone, before the grant', async () => {
    expect(a.ask(new DlmLksb())).to.equal(0);
    expect(await a.told(1)).to.deep.equal(['granted']);
    expect(b.ask(new DlmLksb())).to.equal(0);
    expect(await a.told(1)).to.deep.equal(['blocking']);
    killEmulatedUserNode(1, cluster);
    expect(await b.told(2)).to.deep.equal(['died 1', 'granted']);
    expect(b.members()).to.deep.equal([2]);
  });

  it('are refused everything when they are dead, what they wait for too, and hear nothing else', async () => {
    const [held, other] = [new DlmLksb(), new DlmLksb()];
    expect(a.ask(held)).to.equal(0);
    expect(await a.told(1)).to.deep.equal(['granted']);
    expect(a.ask(other)).to.equal(0);
    const purged = failureOf(dlmPurge(a.connection, 0, 0));
    killEmulatedUserNode(1, cluster);
    expect(await purged).to.include({ code: 'ERR_DLM_DISCONNECTED', errno: ENOTCONN });
    expect(a.ask(new DlmLksb())).to.equal(-ENOTCONN);
    expect(a.glue.dlmUnlock(a.connection, held, 0)).to.equal(-ENOTCONN);
    expect(await failureOf(dlmPurge(a.connection, 0, 0))).to.include({
      code: 'ERR_DLM_DISCONNECTED',
    });
    expect(await b.told(1)).to.deep.equal(['died 1']);
    expect(await a.told(2)).to.deep.equal([`refused ${-ENOTCONN}`, 'killed']);
    // The turn of the event loop that has brought this would have brought what else was on its way to a.
    await nextTurn();
    expect(a.log).to.deep.equal([]);
  });

  it('fail to connect when they die meanwhile', async () => {
    const third = new Node(3, cluster);
    const connecting = failureOf(third.connect());
    // It joins before it waits for anything but promises.
    for (let turn = 0; turn < 100 && !b.members().includes(3); turn += 1) {
      await Promise.resolve();
    }
    killEmulatedUserNode(3, cluster);
    expect(await connecting).to.include({ code: 'ERR_DLM_LOST', errno: ENOTCONN });
    expect(await connecting)
      .to.have.property('message')
      .that.matches(/this node was killed/);
    expect(await b.told(2)).to.deep.equal(['memberJoined 3', 'died 3']);
    // It can be started again.
    await third.connect();
    await third.disconnect();
  });

  it('are told of a lock that has ended before another takes its place', async () => {
    const glue = new StackGlue();
    glue.register(createEmulatedUserPlugin({ node: 3, cluster }));
    glue.clusterStack = 'pcmk';
    const told: string[] = [];
    let connection: ClusterConnection | undefined = undefined;
    const ended = new DlmLksb();
    let isOver!: () => void;
    const over = new Promise<void>((resolve) => (isOver = resolve));
    glue.setLockingProtocol({
      maxVersion: { major: 1, minor: 0 },
      lockAst: (astarg) => {
        told.push(`${String(astarg)} granted`);
        if (astarg === 'next') {
          isOver();
        } else {
          // Both are there when this returns: the lock's end, and the notice, which comes before it.
          glue.dlmUnlock(connection!, ended, 0, 'ended');
          void a.disconnect();
        }
      },
      blockingAst: () => undefined,
      unlockAst: (astarg) => told.push(`${String(astarg)} unlocked`),
    });
    connection = await glue.clusterConnect({
      stackName: 'pcmk',
      group: GROUP,
      recoveryHandler: () => undefined,
      noticeHandler: ({ kind }) => {
        told.push(kind);
        glue.dlmLock(connection!, DLM_LOCK.EX, new DlmLksb(), 0, 's', 'next');
      },
    });
    expect(glue.dlmLock(connection, DLM_LOCK.EX, ended, 0, 'r', 'ended')).to.equal(0);
    await over;
    expect(told).to.deep.equal(['ended granted', 'memberLeft', 'ended unlocked', 'next granted']);
    await glue.clusterDisconnect(connection);
    a = await new Node(1, cluster).connect();
  });
});
