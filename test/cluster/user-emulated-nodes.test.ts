/** What nodes of an emulated cluster of stack `user` have besides: their own end, and purges. */
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
import { EMULATED_USER } from '../support/world.js';
import { WatchedNode } from './watched-node.js';

const { ENOTCONN } = constants.errno;
const STACK = { stackName: 'pcmk', ...EMULATED_USER };

async function failureOf(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => undefined,
    (error: unknown) => error,
  );
}

describe('nodes of the emulated stack user that die or end locks', () => {
  let tests = 0;
  let cluster: string;
  let a: WatchedNode, b: WatchedNode;
  const node = (number: number): WatchedNode => new WatchedNode(STACK, number, cluster);

  beforeEach(async () => {
    tests += 1;
    cluster = `ended-nodes-${process.pid}-${tests}`;
    b = await node(2).connect();
    a = await node(1).connect();
    expect(await b.told(1)).to.deep.equal(['memberJoined 1']);
  });
  afterEach(async () => {
    for (const each of [a, b]) await each.disconnect();
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
    const third = node(3);
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
      group: 'nodes',
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
    a = await node(1).connect();
  });
});
