/** Conversions, up and down. */
import assert from 'node:assert/strict';

import { DLM_LOCK } from '../glue.js';
import type { Suite } from './suite.js';

const { NL, PR, EX } = DLM_LOCK;

/** What conversions do to the lock itself and to those of others. */
export function conversionBehaviours(suite: Suite): void {
  suite.test('a conversion down lets in what waited', async ([a, b]) => {
    await a.lock('l', 'down', EX);
    assert.equal(await b.ask('l', 'down', PR), 0);
    await a.blockingAst('l');
    assert.equal((await a.convert('l', PR)).status, 0);
    assert.equal((await b.lockAst('l')).status, 0);
    await a.unlock('l');
    await b.unlock('l');
  });

  suite.test('a conversion up waits for the others, who are told', async ([a, b, c]) => {
    for (const node of [a, b, c]) await node.lock('l', 'up', PR);
    assert.equal(await b.askConvert('l', EX), 0);
    for (const node of [a, c]) assert.equal((await node.blockingAst('l')).level, EX);
    await a.unlock('l');
    assert.equal((await c.convert('l', NL)).status, 0);
    assert.equal((await b.lockAst('l')).status, 0);
    assert.equal(await suite.tryLock(a, 'm', 'up', PR), false);
    await b.unlock('l');
    await c.unlock('l');
  });

  suite.test('a conversion keeps the old mode while it waits', async ([a, b, c]) => {
    for (const node of [a, b]) await node.lock('l', 'keeps', PR);
    assert.equal(await b.askConvert('l', EX), 0);
    await a.blockingAst('l');
    assert.equal(await suite.tryLock(c, 'l', 'keeps', EX), false);
    await a.unlock('l');
    assert.equal((await b.lockAst('l')).status, 0);
    await b.unlock('l');
  });

  suite.test('a NOQUEUE conversion that fails leaves the old mode', async ([a, b, c]) => {
    for (const node of [a, b]) await node.lock('l', 'noqueue-conversion', PR);
    assert.equal(await suite.tryConvert(b, 'l', EX), false);
    await a.unlock('l');
    assert.equal(await suite.tryLock(c, 'l', 'noqueue-conversion', EX), false);
    assert.equal(await suite.tryConvert(b, 'l', EX), true);
    await b.unlock('l');
  });

  suite.test('a conversion to the mode that it has is granted', async ([a]) => {
    for (const mode of [NL, PR, EX]) {
      await a.lock(`l-${mode}`, `same-${mode}`, mode);
      assert.equal((await a.convert(`l-${mode}`, mode)).status, 0);
      await a.unlock(`l-${mode}`);
    }
  });

  suite.test('a cancelled conversion is back in its old mode', async ([a, b, c]) => {
    await a.lock('l', 'cancelled-conversion', PR);
    await b.lock('l', 'cancelled-conversion', PR);
    assert.equal(await b.askConvert('l', EX), 0);
    await a.blockingAst('l');
    assert.equal(await b.cancel('l'), 0);
    const { error, of } = await b.unlockAst('l');
    assert.deepEqual({ error, of }, { error: 0, of: 'cancel' });
    assert.equal((await c.lock('l', 'cancelled-conversion', PR)).status, 0);
    await a.unlock('l');
    await c.unlock('l');
    assert.equal(await suite.tryLock(c, 'm', 'cancelled-conversion', EX), false);
    await b.unlock('l');
  });
}
