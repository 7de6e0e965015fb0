/** A node of an emulated cluster that hears of the others. */
import { expect } from 'chai';

import { DLM_LOCK, StackGlue, type ClusterConnection, type DlmLksb } from '../../lib/glue.js';
import type { Emulation } from '../support/world.js';

const GROUP = 'nodes';

/** A stack and its emulation. */
export interface EmulatedStack extends Emulation {
  readonly stackName: string;
}

/** A node, and all that it was told. */
export class WatchedNode {
  readonly glue = new StackGlue();
  connection!: ClusterConnection;
  readonly log: string[] = [];
  /** Of the deaths and notices that have one. */
  readonly rings: (bigint | undefined)[] = [];
  readonly #stackName: string;
  #heard: () => void = () => undefined;

  constructor(stack: EmulatedStack, node: number, cluster: string) {
    this.#stackName = stack.stackName;
    this.glue.register(stack.createPlugin({ node, cluster }));
    this.glue.clusterStack = stack.stackName;
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
      stackName: this.#stackName,
      group: GROUP,
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
