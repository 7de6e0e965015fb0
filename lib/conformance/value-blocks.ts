/** Value blocks: who writes, who reads, in which pair of modes. */
import assert from 'node:assert/strict';

import { DLM_LKF, DLM_LOCK } from '../index.js';
import type { NodeDriver } from './driver.js';
import type { Suite } from './suite.js';

const { NL, PR, EX } = DLM_LOCK;
const { VALBLK } = DLM_LKF;

/**
 * What a conversion with VALBLK does with the block: the caller reads the resource's, writes its own
 * there, or neither. From NL to NL stacks may read or not.
 */
const CONVERSIONS: readonly [keyof typeof DLM_LOCK, keyof typeof DLM_LOCK, Effect | undefined][] = [
  ['NL', 'NL', undefined],
  ['NL', 'PR', 'reads'],
  ['NL', 'EX', 'reads'],
  ['PR', 'NL', 'does nothing'],
  ['PR', 'PR', 'reads'],
  ['PR', 'EX', 'reads'],
  ['EX', 'NL', 'writes'],
  ['EX', 'PR', 'writes'],
  ['EX', 'EX', 'writes'],
];
type Effect = 'reads' | 'writes' | 'does nothing';

/** What becomes of value blocks. Node c keeps the resources, and so their blocks. */
export function valueBlockBehaviours(suite: Suite): void {
  const { lvbLength } = suite.features;

  async function write(node: NodeDriver, name: string, lvb: string): Promise<void> {
    await node.lock('writer', name, EX);
    await node.unlock('writer', { flags: VALBLK, lvb });
  }
  async function read(node: NodeDriver, name: string): Promise<string> {
    const { lvb, lvbValid } = await node.lock('reader', name, PR, VALBLK);
    assert.equal(lvbValid, true, 'lvbValid');
    await node.unlock('reader');
    return lvb;
  }

  suite.test('an unlock with VALBLK hands its block on', async ([a, b]) => {
    await a.lock('l', 'lvb-unlock', EX, VALBLK);
    assert.equal(await b.ask('l', 'lvb-unlock', EX, VALBLK), 0);
    await a.blockingAst('l');
    await a.unlock('l', { flags: VALBLK, lvb: 'from the unlock' });
    const { status, lvb, lvbValid } = await b.lockAst('l');
    assert.deepEqual(
      { status, lvb, lvbValid },
      { status: 0, lvb: 'from the unlock', lvbValid: true },
    );
    await b.unlock('l');
  });

  suite.test('a conversion down with VALBLK hands its block on', async ([a, b]) => {
    await a.lock('l', 'lvb-convert', EX, VALBLK);
    assert.equal(await b.ask('l', 'lvb-convert', PR, VALBLK), 0);
    await a.blockingAst('l');
    const converted = await a.convert('l', NL, { flags: VALBLK, lvb: 'from the conversion' });
    assert.equal(converted.status, 0);
    const { status, lvb, lvbValid } = await b.lockAst('l');
    assert.deepEqual(
      { status, lvb, lvbValid },
      { status: 0, lvb: 'from the conversion', lvbValid: true },
    );
    await b.unlock('l');
    await a.unlock('l');
  });

  suite.test(
    'an unlock writes the block although the lock was asked for without VALBLK',
    async ([a, b, c]) => {
      await c.lock('keep', 'lvb-late', NL);
      await write(a, 'lvb-late', 'asked for late');
      assert.equal(await read(b, 'lvb-late'), 'asked for late');
      await c.unlock('keep');
    },
  );

  suite.test('an unlock without VALBLK leaves the block alone', async ([a, b, c]) => {
    await c.lock('keep', 'lvb-kept', NL);
    await write(a, 'lvb-kept', 'first');
    await a.lock('m', 'lvb-kept', EX, VALBLK);
    await a.unlock('m', { lvb: 'not meant to be sent' });
    assert.equal(await read(b, 'lvb-kept'), 'first');
    await c.unlock('keep');
  });

  for (const mode of ['NL', 'PR'] as const) {
    suite.test(`an unlock of ${mode} never writes the block`, async ([a, b, c]) => {
      const name = `lvb-unlock-${mode}`;
      await c.lock('keep', name, NL);
      await write(a, name, 'before');
      await a.lock('l', name, DLM_LOCK[mode], VALBLK);
      await a.unlock('l', { flags: VALBLK, lvb: 'of a reader' });
      assert.equal(await read(b, name), 'before');
      await c.unlock('keep');
    });
  }

  for (const [from, to, effect] of CONVERSIONS) {
    suite.test(
      `a conversion from ${from} to ${to} with VALBLK ${effect ?? 'writes nothing'}`,
      async ([a, b, c]) => {
        const name = `lvb-${from}-${to}`;
        await c.lock('keep', name, NL);
        await write(a, name, 'before');
        await b.lock('l', name, DLM_LOCK[from]);
        const { status, lvb } = await b.convert('l', DLM_LOCK[to], { flags: VALBLK, lvb: 'mine' });
        assert.equal(status, 0);
        if (effect !== undefined) {
          assert.equal(lvb, effect === 'reads' ? 'before' : 'mine', "the caller's block");
        }
        await b.unlock('l');
        const expected = effect === 'writes' ? 'mine' : 'before';
        assert.equal(await read(a, name), expected, "the resource's block");
        await c.unlock('keep');
      },
    );
  }

  suite.test(`all ${lvbLength} bytes of a block come over`, async ([a, b, c]) => {
    const full = String.fromCharCode(...Array.from({ length: lvbLength }, (_, i) => 255 - i));
    await c.lock('keep', 'lvb-full', NL);
    await write(a, 'lvb-full', full);
    assert.equal(await read(b, 'lvb-full'), full);
    assert.equal((await b.look('reader')).lvbLength, lvbLength);
    await c.unlock('keep');
  });

  suite.test('a new resource has a block of zeros, and it is valid', async ([a]) => {
    assert.equal(await read(a, 'lvb-new'), '');
  });
}
