/** Value blocks: who writes, who reads, in which pair of modes. */
import assert from 'node:assert/strict';

import { DLM_LKF, DLM_LOCK, type LockMode } from '../glue.js';
import type { NodeDriver } from './driver.js';
import type { Suite } from './suite.js';

const { NL, PR, PW, EX } = DLM_LOCK;
const { VALBLK } = DLM_LKF;

/** What a request with VALBLK does: the caller reads the resource's block, or writes its own there. */
type Effect = 'reads' | 'writes' | 'does nothing';

/**
 * The rule of fs/dlm, whose part for NL, PR and EX is o2dlm's too: PW and EX write when they go down
 * or stay, and whoever goes up or stays reads.
 */
function effectOf(from: LockMode, to: LockMode): Effect {
  if (from >= PW && to <= from) return 'writes';
  return to >= from ? 'reads' : 'does nothing';
}

function nameOf(mode: LockMode): string {
  return Object.entries(DLM_LOCK).find(([, number]) => number === mode)?.[0] ?? String(mode);
}

/** What becomes of value blocks. Node c keeps the resources, and so their blocks. */
export function valueBlockBehaviours(suite: Suite): void {
  const { lvbLength, modes } = suite.features;

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

  /** The same scene with the resource kept by each of the nodes that act. */
  async function withEachMaster(
    masters: readonly NodeDriver[],
    name: string,
    scene: (name: string) => Promise<void>,
  ): Promise<void> {
    for (const [index, master] of masters.entries()) {
      const resource = `${name}-${index}`;
      await master.lock(`keep-${resource}`, resource, NL);
      await scene(resource);
      await master.unlock(`keep-${resource}`);
    }
  }

  for (const mode of modes) {
    const writes = mode >= PW;
    suite.test(
      `an unlock of ${nameOf(mode)} ${writes ? 'writes the block if it says so' : 'never writes the block'}`,
      async ([a, b]) => {
        for (const flags of [0, VALBLK]) {
          for (const lockFlags of [0, VALBLK]) {
            const title = `lvb-unlock-${mode}-${flags}-${lockFlags}`;
            await withEachMaster([a, b], title, async (name) => {
              await write(a, name, 'before');
              const lock = `l-${name}`;
              await b.lock(lock, name, mode, lockFlags);
              await b.unlock(lock, { flags, lvb: 'mine' });
              const expected = writes && flags === VALBLK ? 'mine' : 'before';
              assert.equal(await read(a, name), expected, name);
            });
          }
        }
      },
    );

    // A new lock in NL reads or not.
    if (mode !== NL) {
      suite.test(`a new lock in ${nameOf(mode)} reads the block if it says so`, async ([a, b]) => {
        await withEachMaster([a, b], `lvb-new-${mode}`, async (name) => {
          await write(a, name, 'before');
          const { lvb, lvbValid } = await b.lock(`with-${name}`, name, mode, VALBLK);
          assert.deepEqual({ lvb, lvbValid }, { lvb: 'before', lvbValid: true });
          await b.unlock(`with-${name}`);
          assert.equal((await b.lock(`without-${name}`, name, mode)).lvb, '');
          await b.unlock(`without-${name}`);
        });
      });
    }
  }

  for (const from of modes) {
    for (const to of modes) {
      const effect = effectOf(from, to);
      // From NL to NL stacks read or not.
      const isOpen = from === NL && to === NL;
      suite.test(
        `a conversion from ${nameOf(from)} to ${nameOf(to)} with VALBLK ${isOpen ? 'writes nothing' : effect}, and without it nothing`,
        async ([a, b]) => {
          for (const flags of [VALBLK, 0]) {
            await withEachMaster([a, b], `lvb-${from}-${to}-${flags}`, async (name) => {
              await write(a, name, 'before');
              const lock = `l-${name}`;
              await b.lock(lock, name, from);
              const { status, lvb } = await b.convert(lock, to, { flags, lvb: 'mine' });
              assert.equal(status, 0);
              if (!isOpen || flags === 0) {
                const reads = effect === 'reads' && flags === VALBLK;
                assert.equal(lvb, reads ? 'before' : 'mine', `the caller's block, ${name}`);
              }
              await b.unlock(lock);
              const writes = effect === 'writes' && flags === VALBLK;
              assert.equal(
                await read(a, name),
                writes ? 'mine' : 'before',
                `the resource's, ${name}`,
              );
            });
          }
        },
      );
    }
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

  suite.test('a conversion reads zeros where nobody has written yet', async ([a, b]) => {
    await withEachMaster([a, b], 'lvb-unwritten', async (name) => {
      const lock = `l-${name}`;
      await b.lock(lock, name, NL);
      const { lvb, lvbValid } = await b.convert(lock, EX, { flags: VALBLK, lvb: 'mine' });
      assert.deepEqual({ lvb, lvbValid }, { lvb: '', lvbValid: true }, name);
      await b.unlock(lock);
      assert.equal(await read(a, name), '', name);
    });
  });
}
