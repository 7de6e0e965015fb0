/** The nodes of an emulated cluster of stack `o2cb`: who is in a domain, who comes and who goes. */
import { expect } from 'chai';

import {
  createO2cbPlugin,
  DLM_LOCK,
  DlmLksb,
  killO2cbNode,
  StackGlue,
  type ClusterConnection,
} from '../../lib/glue.js';

/** A node that has connected, and all that it was told. */
class Node {
  readonly glue = new StackGlue();
  connection!: ClusterConnection;
  readonly log: string[] = [];
  /** Of the deaths and notices that have one. */
  readonly rings: (bigint | undefined)[] = [];
  #heard: () => void = () => undefined;

  constructor(node: number, cluster: string) {
    this.glue.register(createO2cbPlugin({ node, cluster }));
    this.glue.setLockingProtocol({
      maxVersion: { major: 1, minor: 0 },
      lockAst: () => this.#hear('granted'),
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
      stackName: 'o2cb',
      group: 'nodes',
      recoveryHandler: (node, _, ring) => {
        this.#seeRing(ring);
        this.#hear(`died ${node}`);
      },
      noticeHandler: (notice) => {
        expect(notice.locks).to.equal(notice.kind === 'killed' ? 'lost' : 'valid');
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

  ask(): void {
    const { glue, connection } = this;
    expect(glue.dlmLock(connection, DLM_LOCK.EX, new DlmLksb(), 0, 'r')).to.equal(0);
  }

  ring(): bigint {
    const membership = this.glue.clusterMembership(this.connection);
    return membership?.isQuorate === true ? membership.ring : 0n;
  }

  members(): number[] {
    return this.glue.clusterMembers(this.connection).map(({ node }) => node);
  }
}

describe('nodes of the emulated stack o2cb', () => {
  let tests = 0;
  let cluster: string;
  let a: Node, b: Node;

  beforeEach(async () => {
    tests += 1;
    cluster = `o2cb-nodes-${process.pid}-${tests}`;
    b = await new Node(2, cluster).connect();
    a = await new Node(0, cluster).connect();
    expect(await b.told(1)).to.deep.equal(['memberJoined 0']);
  });
  afterEach(async () => {
    for (const { glue, connection } of [a, b]) await glue.clusterDisconnect(connection);
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
    a = await new Node(0, cluster).connect();
    expect(a.ring()).to.equal(before);
    killO2cbNode(0, cluster);
    expect(b.ring(), 'before it has been told').to.equal(before);
    expect((await b.told(2)).at(-1)).to.equal('died 0');
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
      { node: 0, name: undefined, addresses: [] },
      { node: 2, name: undefined, addresses: [] },
    ]);
  });

  it('are told of one that leaves with its last connection, before the grant that it leads to', async () => {
    const twin = await new Node(0, cluster).connect();
    a.ask();
    expect(await a.told(1)).to.deep.equal(['granted']);
    b.ask();
    expect(await a.told(1)).to.deep.equal(['blocking']);
    await twin.glue.clusterDisconnect(twin.connection);
    await a.glue.clusterDisconnect(a.connection);
    expect(await b.told(2)).to.deep.equal(['memberLeft 0', 'granted']);
    expect(b.members()).to.deep.equal([2]);
    a = await new Node(0, cluster).connect();
    expect(await b.told(1)).to.deep.equal(['memberJoined 0']);
  });

  it('are told of one that dies by the recovery handler alone, before the grant', async () => {
    a.ask();
    expect(await a.told(1)).to.deep.equal(['granted']);
    b.ask();
    expect(await a.told(1)).to.deep.equal(['blocking']);
    killO2cbNode(0, cluster);
    expect(await b.told(2)).to.deep.equal(['died 0', 'granted']);
    expect(b.members()).to.deep.equal([2]);
    expect(a.members()).to.deep.equal([]);
  });
});
