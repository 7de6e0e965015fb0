/** What a program has of its connection. */
import { expect } from 'chai';
import { inspect } from 'node:util';

import { stackConnectionOf } from '../../lib/glue.js';
import { disconnectTestNodes, TestNode } from './test-node.js';

describe("a program's connection", () => {
  afterEach(disconnectTestNodes);

  it('is read, and changes nothing', async () => {
    const node = new TestNode();
    const connection = await node.connect('volume-7');
    for (const name of ['name', 'version', 'state', 'scope', 'protocol', 'clock'] as const) {
      expect(() => Object.assign(connection, { [name]: 'mine' }), name).to.throw(TypeError, name);
    }
    expect(connection.state).to.equal('connected');
    await node.glue.clusterDisconnect(connection);
    expect(connection.state).to.equal('disconnected');
  });

  it('prints what there is to see', async () => {
    const node = new TestNode();
    const connection = await node.connect('volume-7');
    expect(inspect({ connection }, { breakLength: Infinity })).to.equal(
      "{ connection: ClusterConnection { name: 'volume-7', scope: 'process', state: 'connected', version: '1.0' } }",
    );
    expect(inspect(Object.create(connection))).to.equal('ClusterConnection {}');
  });

  it('is another object than what its stack has', async () => {
    const node = new TestNode();
    const connection = await node.connect('volume-7');
    const stack = stackConnectionOf(connection);
    expect(stack).to.include({ name: 'volume-7', handle: connection });
    expect(connection).not.to.have.any.keys('private', 'plugin', 'lockAst');
    for (const none of [undefined, null, {}, stack, 'volume-7']) {
      expect(stackConnectionOf(none)).to.equal(undefined);
    }
  });
});
