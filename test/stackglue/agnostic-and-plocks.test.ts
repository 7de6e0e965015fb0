/** `ocfs2_cluster_connect_agnostic`, `ocfs2_stack_supports_plocks` and `ocfs2_plock`. */
import { expect } from 'chai';
import { constants } from 'node:os';

import {
  createUserPlugin,
  StackGlue,
  stackConnectionOf,
  type PlockRequest,
} from '../../lib/glue.js';
import {
  disconnectTestNodes,
  dlmFailure,
  fakePlugin,
  silentProtocol,
  TestNode,
} from './test-node.js';

const { EBUSY, EOPNOTSUPP } = constants.errno;

const request: PlockRequest = { type: 'exclusive', start: 0n, end: 9n, wait: false };
const group = { group: 'group', recoveryHandler: () => undefined };

describe('agnostic connecting', () => {
  afterEach(disconnectTestNodes);

  it('connects to the stack that is selected', async () => {
    const node = new TestNode();
    const connection = await node.glue.clusterConnectAgnostic(group);
    expect(stackConnectionOf(connection)?.plugin).to.equal(node.plugin);
    await node.glue.clusterDisconnect(connection);

    const glue = new StackGlue();
    glue.register(fakePlugin('user'));
    glue.setLockingProtocol(silentProtocol(1, 0));
    glue.clusterStack = 'pcmk';
    const chosen = await glue.clusterConnectAgnostic(group);
    expect(stackConnectionOf(chosen)?.plugin.name).to.equal('user');
    await glue.clusterDisconnect(chosen);
  });

  it('has to name the stack no more, where naming another is refused', async () => {
    const node = new TestNode();
    const error = await dlmFailure('ERR_DLM_STACK_BUSY', () =>
      node.glue.clusterConnect({ ...group, stackName: 'pcmk' }),
    );
    expect(error.errno).to.equal(EBUSY);
  });
});

describe('POSIX locks', () => {
  afterEach(disconnectTestNodes);

  it('are supported by neither stack, which says so', async () => {
    const node = new TestNode();
    expect(node.glue.supportsPlocks, 'without an active stack').to.equal(false);
    const connection = await node.connect();
    expect(node.glue.supportsPlocks).to.equal(false);
    expect(node.glue.plock(connection, 1n, request)).to.equal(-EOPNOTSUPP);
    expect(createUserPlugin().operations).not.to.have.property('plock');
  });

  it('are handed to a stack that has them', async () => {
    const glue = new StackGlue();
    const asked: unknown[] = [];
    glue.register(
      fakePlugin('user', {
        plock: (_connection: unknown, inode: bigint, what: PlockRequest) => {
          asked.push(inode, what);
          return 0;
        },
      }),
    );
    glue.setLockingProtocol(silentProtocol(1, 0));
    glue.clusterStack = 'pcmk';
    const connection = await glue.clusterConnect({ ...group, stackName: 'pcmk' });
    expect(glue.supportsPlocks).to.equal(true);
    expect(glue.plock(connection, 7n, request)).to.equal(0);
    expect(asked).to.deep.equal([7n, request]);
    await glue.clusterDisconnect(connection);
    expect(glue.supportsPlocks).to.equal(false);
  });

  for (const [argument, inode, what] of [
    ['inode', 1, request],
    ['inode', -1n, request],
    ['inode', 2n ** 64n, request],
    ['request', 1n, null],
    ['request.type', 1n, { ...request, type: 'x' }],
    ['request.start', 1n, { ...request, start: 0 }],
    ['request.end', 1n, { ...request, end: -1n }],
    ['request.wait', 1n, { ...request, wait: 'yes' }],
  ] as const) {
    it(`name the argument that is wrong: ${argument} (${typeof inode})`, async () => {
      const node = new TestNode();
      const connection = await node.connect();
      expect(() => node.glue.plock(connection, inode as bigint, what as PlockRequest))
        .to.throw()
        .with.property('argument', argument);
    });
  }
});
