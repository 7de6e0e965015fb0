/** What waits, and may wait for ever: conversions that stand in each other's way, and writers behind readers. */
import assert from 'node:assert/strict';
import { constants } from 'node:os';

import { DLM_LOCK } from '../glue.js';
import type { NodeDriver } from './driver.js';
import type { Suite } from './suite.js';

const { NL, PR, EX } = DLM_LOCK;
const { EDEADLK } = constants.errno;

/** What a program has to look out for itself. */
export function waitingBehaviours(suite: Suite): void {
  const { conversionDeadlock, newReaders } = suite.features;

  /** The master has seen what the node asked for: it answers in order. */
  const sync = async (node: NodeDriver): Promise<void> => {
    assert.equal((await node.convert('sync', NL)).status, 0);
  };

  suite.test(
    conversionDeadlock === 'waits'
      ? 'two holders of PR that both want EX wait until one of them gives way: nobody is told'
      : 'of two holders of PR that both want EX the second is refused, EDEADLK, and keeps PR',
    async ([a, b]) => {
      for (const node of [a, b]) {
        await node.lock('sync', 'conversion-deadlock', NL);
        await node.lock('l', 'conversion-deadlock', PR);
      }
      assert.equal(await b.askConvert('l', EX), 0);
      await a.blockingAst('l');
      const before = [a, b].map((node) => node.completionsOf('l').length);
      assert.equal(await a.askConvert('l', EX), 0);
      if (conversionDeadlock === 'waits') {
        for (const node of [a, b]) await sync(node);
        const after = [a, b].map((node) => node.completionsOf('l').length);
        assert.deepEqual(after, before, 'completions');
        assert.equal(await a.cancel('l'), 0);
        const { error, of } = await a.unlockAst('l');
        assert.deepEqual({ error, of }, { error: 0, of: 'cancel' });
      } else {
        assert.equal((await a.lockAst('l')).status, -EDEADLK);
      }
      // It has PR, and that is what the other one waits for.
      await sync(b);
      assert.equal(b.completionsOf('l').length, before[1], 'completions of the other one');
      assert.equal((await a.convert('l', NL)).status, 0);
      assert.equal((await b.lockAst('l')).status, 0);
      for (const node of [b, a]) {
        await node.unlock('l');
        await node.unlock('sync');
      }
    },
  );

  suite.test(
    `readers that go from NL to PR pass an EX that waits; new ones ${newReaders === 'pass' ? 'do, too' : 'do not'}`,
    async ([a, b, c]) => {
      await c.lock('reader', 'starving', NL);
      await a.lock('l', 'starving', PR);
      assert.equal(await b.ask('l', 'starving', EX), 0);
      await a.blockingAst('l');
      assert.equal((await c.convert('reader', PR)).status, 0);
      const passes = await suite.tryLock(c, 'new', 'starving', PR);
      assert.equal(passes, newReaders === 'pass', 'whether a new PR is granted');
      await a.unlock('l');
      assert.deepEqual(b.completionsOf('l'), [], 'completions of the writer');
      if (passes) await c.unlock('new');
      await c.unlock('reader');
      assert.equal((await b.lockAst('l')).status, 0);
      await b.unlock('l');
    },
  );
}
