/** Connections: groups are worlds of their own, and what a connection leaves behind. */
import assert from 'node:assert/strict';

import { DLM_LOCK } from '../glue.js';
import type { NodeDriver } from './driver.js';
import type { Suite } from './suite.js';

const { PR, EX } = DLM_LOCK;

/** What connections do to each other. Each test ends those that it makes. */
export function connectionBehaviours(suite: Suite): void {
  const connect = (node: NodeDriver, group: string, on: string): Promise<unknown> =>
    node.connect(suite.stackName, group, [1, 0], { on });

  suite.test('the same name is another resource in each of three groups', async ([a, b]) => {
    await connect(a, 'second', 'two');
    await connect(a, 'third', 'three');
    await connect(b, 'second', 'two');
    await a.lock('l-1', 'independent', EX);
    await a.lock('l-2', 'independent', EX, 0, { on: 'two' });
    await a.lock('l-3', 'independent', EX, 0, { on: 'three' });
    assert.equal(await b.ask('l', 'independent', EX, 0, { on: 'two' }), 0);
    await a.blockingAst('l-2');
    await a.unlock('l-3');
    await a.unlock('l-2');
    assert.equal((await b.lockAst('l')).status, 0);
    assert.equal(a.blockingAstsOf('l-1') + a.blockingAstsOf('l-3'), 0);
    await b.unlock('l');
    await a.unlock('l-1');
    for (const [node, on] of [
      [a, 'two'],
      [a, 'three'],
      [b, 'two'],
    ] as const) {
      await node.disconnect(on);
    }
  });

  suite.test('two connections of one node to one group contend', async ([a, b]) => {
    await connect(a, 'conformance', 'two');
    await a.lock('l', 'same-node', EX);
    assert.equal(await a.ask('m', 'same-node', PR, 0, { on: 'two' }), 0);
    assert.equal((await a.blockingAst('l')).level, PR);
    await a.unlock('l');
    assert.equal((await a.lockAst('m')).status, 0);
    assert.equal(await suite.tryLock(b, 'l', 'same-node', EX), false);
    await a.unlock('m');
    await a.disconnect('two');
  });

  suite.test(
    'a disconnect drops the locks: who waits is granted, and no unlock AST comes',
    async ([a, b, c]) => {
      for (const node of [a, b, c]) await connect(node, 'dropping', 'two');
      await a.lock('l', 'dropped', EX, 0, { on: 'two' });
      await a.lock('m', 'dropped-too', PR, 0, { on: 'two' });
      assert.equal(await b.ask('l', 'dropped', EX, 0, { on: 'two' }), 0);
      assert.equal(await c.ask('m', 'dropped-too', EX, 0, { on: 'two' }), 0);
      await a.blockingAst('l');
      await a.blockingAst('m');
      await a.disconnect('two');
      assert.equal((await b.lockAst('l')).status, 0);
      assert.equal((await c.lockAst('m')).status, 0);
      await b.unlock('l');
      await c.unlock('m');
      for (const node of [b, c]) await node.disconnect('two');
      for (const lock of ['l', 'm']) {
        assert.equal(a.completionsOf(lock).length, 1, `completions of ${lock}`);
      }
    },
  );

  suite.test('a disconnect drops requests that wait, and ends none of them', async ([a, b, c]) => {
    await connect(b, 'conformance', 'two');
    await a.lock('l', 'dropped-waiter', EX);
    assert.equal(await b.ask('l', 'dropped-waiter', EX, 0, { on: 'two' }), 0);
    await a.blockingAst('l');
    await b.disconnect('two');
    await a.unlock('l');
    assert.equal((await c.lock('l', 'dropped-waiter', EX)).status, 0);
    await c.unlock('l');
    assert.deepEqual(b.completionsOf('l'), []);
  });

  suite.test('the membership of nodes does not move with connections', async ([a, b]) => {
    const before = await a.membership();
    for (let round = 0; round < 2; round += 1) {
      for (const node of [a, b]) await connect(node, 'membership', 'two');
      assert.deepEqual(await a.membership('two'), before);
      await b.disconnect('two');
      await a.disconnect('two');
    }
    assert.deepEqual(await a.membership(), before);
  });

  suite.test('who leaves in order is not reported dead, and can come back', async ([a, b]) => {
    for (const node of [a, b]) await connect(node, 'leaving', 'two');
    for (let round = 0; round < 2; round += 1) {
      await b.disconnect('two');
      await a.lock('l', 'left', EX, 0, { on: 'two' });
      await connect(b, 'leaving', 'two');
      assert.equal(await b.ask('l', 'left', EX, 0, { on: 'two' }), 0);
      await a.blockingAst('l');
      await a.unlock('l');
      assert.equal((await b.lockAst('l')).status, 0);
      await b.unlock('l');
    }
    for (const node of [a, b]) await node.disconnect('two');
  });
}
