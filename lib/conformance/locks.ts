/** New locks: who is granted, who waits, who is told. */
import assert from 'node:assert/strict';

import { DLM_LKF, DLM_LOCK, type LockMode } from '../glue.js';
import type { Suite } from './suite.js';

const { NL, CR, CW, PR, PW, EX } = DLM_LOCK;
const ALL_MODES = Object.values(DLM_LOCK);

/** Which modes go together. */
export const COMPATIBLE: Record<LockMode, readonly LockMode[]> = {
  [NL]: [NL, CR, CW, PR, PW, EX],
  [CR]: [NL, CR, CW, PR, PW],
  [CW]: [NL, CR, CW],
  [PR]: [NL, CR, PR],
  [PW]: [NL, CR],
  [EX]: [NL],
};

function nameOf(mode: LockMode): string {
  return Object.entries(DLM_LOCK).find(([, number]) => number === mode)?.[0] ?? String(mode);
}

/** What the nodes see of each other's locks. */
export function lockBehaviours(suite: Suite): void {
  const { features } = suite;

  suite.test('each node has a number of its own', async (nodes) => {
    assert.equal(new Set(nodes.map((node) => node.number)).size, 3);
    return Promise.resolve();
  });

  suite.test(
    'EX waits behind EX, its holder is told the level, and it is granted after the unlock',
    async ([a, b]) => {
      assert.equal((await a.lock('l', 'ex-behind-ex', EX)).status, 0);
      assert.equal(await b.ask('l', 'ex-behind-ex', EX), 0);
      assert.equal((await a.blockingAst('l')).level, EX);
      await a.lock('other', 'ex-behind-ex-other', EX);
      await a.unlock('other');
      assert.deepEqual(b.completionsOf('l'), [], 'completions of the waiter');
      await a.unlock('l');
      assert.equal((await b.lockAst('l')).status, 0);
      await b.unlock('l');
    },
  );

  suite.test('a blocking AST tells the level of the request, here PR', async ([a, b]) => {
    await a.lock('l', 'pr-behind-ex', EX);
    assert.equal(await b.ask('l', 'pr-behind-ex', PR), 0);
    assert.equal((await a.blockingAst('l')).level, PR);
    await a.unlock('l');
    assert.equal((await b.lockAst('l')).status, 0);
    await b.unlock('l');
  });

  suite.test(
    'all three share PR; EX waits until the last one goes, and each is told of it',
    async ([a, b, c]) => {
      for (const node of [a, b, c]) assert.equal((await node.lock('l', 'shared', PR)).status, 0);
      assert.equal(await c.ask('w', 'shared', EX), 0);
      for (const node of [a, b, c]) assert.equal((await node.blockingAst('l')).level, EX);
      await a.unlock('l');
      await b.unlock('l');
      assert.deepEqual(c.completionsOf('w'), [], 'completions of the waiter');
      await c.unlock('l');
      assert.equal((await c.lockAst('w')).status, 0);
      await c.unlock('w');
    },
  );

  suite.test('NL is granted beside EX, and blocks nobody', async ([a, b, c]) => {
    await a.lock('l', 'null', EX);
    assert.equal((await b.lock('l', 'null', NL)).status, 0);
    await a.unlock('l');
    assert.equal((await c.lock('l', 'null', EX)).status, 0);
    await c.unlock('l');
    await b.unlock('l');
    for (const [node, what] of [
      [a, 'EX, for NL'],
      [b, 'NL, for EX'],
    ] as const) {
      assert.equal(node.blockingAstsOf('l'), 0, `blocking ASTs of ${what}`);
    }
  });

  for (const held of features.modes) {
    const together = COMPATIBLE[held].filter((mode) => features.modes.includes(mode));
    suite.test(
      `beside ${nameOf(held)} are granted ${together.map(nameOf).join(', ')} and no other mode`,
      async ([a, b]) => {
        const name = `beside-${nameOf(held)}`;
        await a.lock('l', name, held);
        for (const mode of features.modes) {
          const isGranted = await suite.tryLock(b, `l-${mode}`, name, mode);
          assert.equal(isGranted, together.includes(mode), nameOf(mode));
          if (isGranted) await b.unlock(`l-${mode}`);
        }
        await a.unlock('l');
      },
    );
  }

  for (const mode of ALL_MODES.filter((each) => !features.modes.includes(each))) {
    suite.test(
      `${nameOf(mode)}, which the stack does not have, is refused in the call`,
      async ([a]) => {
        const result = await a.ask('l', 'no-such-mode', mode);
        assert.ok(result < 0, `the call's result is ${result}`);
        assert.equal(await suite.isFree(a, 'no-such-mode'), true);
      },
    );
  }

  suite.test(
    `a NOQUEUE request for a busy resource fails with EAGAIN, ${features.noqueueFails}`,
    async ([a, b, c]) => {
      await a.lock('l', 'busy', EX);
      assert.equal(await suite.tryLock(b, 'l', 'busy', EX), false);
      await a.unlock('l');
      assert.equal(await suite.isFree(c, 'busy'), true);
    },
  );

  suite.test('waiters are served first come, first served', async ([a, b, c]) => {
    await c.lock('sync', 'fifo', NL);
    await a.lock('l', 'fifo', EX);
    assert.equal(await b.ask('l', 'fifo', EX), 0);
    await a.blockingAst('l');
    assert.equal(await c.ask('l', 'fifo', EX), 0);
    // The master has seen c's request once it has answered the conversion that c sent after it.
    await c.convert('sync', NL);
    await a.unlock('l');
    assert.equal((await b.lockAst('l')).status, 0);
    await b.unlock('l');
    assert.equal((await c.lockAst('l')).status, 0);
    await c.unlock('l');
    await c.unlock('sync');
  });

  suite.test(
    `names of ${features.nameLengthMax} bytes differ to the last byte; longer ones are refused`,
    async ([a, b]) => {
      const stem = 'n'.repeat(features.nameLengthMax - 1);
      await a.lock('l', `${stem}1`, EX);
      assert.equal(await suite.tryLock(b, 'l', `${stem}2`, EX), true, 'another last byte');
      assert.equal(await suite.tryLock(b, 'm', `${stem}1`, EX), false, 'the same name');
      const result = await b.ask('n', `${stem}10`, EX);
      assert.ok(result < 0, `the call's result for a longer name is ${result}`);
      await b.unlock('l');
      await a.unlock('l');
    },
  );

  suite.test('a lock status block serves again once its lock is gone', async ([a, b]) => {
    await a.lock('l', 'again-1', EX);
    await a.unlock('l');
    assert.equal((await a.lock('l', 'again-2', PR, 0, { again: true })).status, 0);
    assert.equal(await suite.tryLock(b, 'l', 'again-2', EX), false);
    assert.equal(await suite.isFree(b, 'again-1'), true);
    await a.unlock('l');
  });

  suite.test('LOCAL is a hint: the lock holds on all nodes', async ([a, b]) => {
    await a.lock('l', 'local', EX, DLM_LKF.LOCAL);
    assert.equal(await suite.tryLock(b, 'l', 'local', EX), false);
    await a.unlock('l');
    assert.equal(await suite.isFree(b, 'local'), true);
  });
}
