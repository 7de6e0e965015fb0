/** Completions: each request has exactly one, after its call. */
import assert from 'node:assert/strict';

import { DLM_LOCK } from '../glue.js';
import type { NodeDriver } from './driver.js';
import type { Suite } from './suite.js';

const { NL, PR, EX } = DLM_LOCK;

/** How often a race is run. */
const ROUNDS = 20;
/** Requests of each node in the contention. */
const REQUESTS = 8;

/** When and how often the caller is told. */
export function completionBehaviours(suite: Suite): void {
  /** How often the lock ended. */
  function endsOf(node: NodeDriver, lock: string): number {
    return node.completionsOf(lock).length;
  }

  /** Waits for the end of a request that may have been cancelled; gives up what was granted. */
  async function finish(node: NodeDriver, lock: string): Promise<'granted' | 'cancelled'> {
    const first = await node.completion(lock);
    if (first.event === 'unlockAst') {
      assert.deepEqual([first.error, first.of], [0, 'cancel'], `unlock AST of ${lock}`);
      return 'cancelled';
    }
    assert.equal(first.status, 0, `the status of ${lock}`);
    await node.unlock(lock);
    return 'granted';
  }

  suite.test('no handler is called before the call that caused it has returned', async ([a]) => {
    // Where the resource lives on the caller's own node, a stack is most tempted.
    await a.lock('l', 'inside', EX);
    assert.equal(await a.ask('w', 'inside', PR), 0);
    await a.blockingAst('l');
    await a.convert('l', PR);
    await a.lockAst('w');
    await a.convert('l', NL);
    await a.unlock('l');
    await a.unlock('w');
    a.checkNothingElseCame();
  });

  suite.test('the status of a granted lock is 0 from its lock AST on', async ([a]) => {
    const { status } = await a.lock('l', 'status', PR);
    assert.equal(status, 0);
    assert.equal((await a.look('l')).status, 0);
    await a.convert('l', EX);
    assert.equal((await a.look('l')).status, 0);
    await a.unlock('l');
  });

  suite.test('a cancelled waiter ends in the unlock AST and leaves no lock', async ([a, b, c]) => {
    await a.lock('l', 'cancelled', EX);
    assert.equal(await b.ask('l', 'cancelled', EX), 0);
    await a.blockingAst('l');
    assert.equal(await b.cancel('l'), 0);
    const { error, of } = await b.unlockAst('l');
    assert.deepEqual({ error, of }, { error: 0, of: 'cancel' });
    await a.unlock('l');
    assert.equal(await suite.isFree(c, 'cancelled'), true);
  });

  suite.test('a cancel that comes after the grant changes nothing', async ([a, b]) => {
    await a.lock('l', 'late-cancel', EX);
    const result = await a.cancel('l');
    assert.ok(result <= 0, `the call's result is ${result}`);
    assert.equal(await suite.tryLock(b, 'l', 'late-cancel', EX), false);
    await a.unlock('l');
    assert.equal(endsOf(a, 'l'), 2, 'completions of the lock and of its unlock');
  });

  suite.test('a cancel that races with the grant: one completion, of either', async ([a, b]) => {
    for (let round = 0; round < ROUNDS; round += 1) {
      const [holder, waiter] = [`l-${round}`, `w-${round}`];
      await a.lock(holder, 'race', EX);
      assert.equal(await b.ask(waiter, 'race', EX), 0);
      await a.blockingAst(holder);
      const [, result] = await Promise.all([a.unlock(holder), b.cancel(waiter)]);
      assert.ok(result <= 0, `the cancel's result is ${result}`);
      const end = await finish(b, waiter);
      assert.equal(endsOf(b, waiter), end === 'granted' ? 2 : 1);
      assert.equal(await suite.isFree(a, 'race'), true);
    }
  });

  suite.test(
    'a conversion whose cancel races with its grant: one completion, of either',
    async ([a, b]) => {
      for (let round = 0; round < ROUNDS; round += 1) {
        const [holder, waiter] = [`l-${round}`, `w-${round}`];
        await a.lock(holder, 'conversion-race', PR);
        await b.lock(waiter, 'conversion-race', PR);
        assert.equal(await b.askConvert(waiter, EX), 0);
        await a.blockingAst(holder);
        const [, result] = await Promise.all([a.unlock(holder), b.cancel(waiter)]);
        assert.ok(result <= 0, `the cancel's result is ${result}`);
        const end = await b.completion(waiter);
        if (end.event === 'lockAst') assert.equal(end.status, 0);
        else assert.deepEqual([end.error, end.of], [0, 'cancel']);
        await b.unlock(waiter);
        assert.equal(endsOf(b, waiter), 3);
        assert.equal(await suite.isFree(a, 'conversion-race'), true);
      }
    },
  );

  suite.test('a cancel that overtakes its request leaves those behind it alone', async (nodes) => {
    // fs/dlm asks a directory node first who the master is. Where that is a third one, it forgets
    // whoever waits for the same answer when the first of them was cancelled (README of native/).
    const [a, b] = nodes;
    const names = Array.from({ length: ROUNDS }, (_, index) => `overtaken-${index}`);
    await Promise.all(names.map((name) => a.lock(`holder-${name}`, name, EX)));
    const ends = names.map(async (name) => {
      const [first, second] = [`first-${name}`, `second-${name}`];
      const calls = [b.ask(first, name, EX), b.ask(second, name, EX), b.cancel(first)];
      assert.deepEqual(await Promise.all(calls), [0, 0, 0]);
      assert.equal(await finish(b, first), 'cancelled');
      await a.unlock(`holder-${name}`);
      assert.equal(await finish(b, second), 'granted');
      assert.deepEqual([endsOf(b, first), endsOf(b, second)], [1, 2]);
    });
    await Promise.all(ends);
  });

  suite.test('in a contention with cancels every request ends exactly once', async ([a, b, c]) => {
    const nodes = [a, b, c];
    const request = async (node: NodeDriver, index: number): Promise<void> => {
      const lock = `l-${index}`;
      const mode = index % 2 === 0 ? EX : PR;
      assert.equal(await node.ask(lock, `contention-${index % 2}`, mode), 0);
      if (index % 3 === 0) await node.cancel(lock);
      const end = await finish(node, lock);
      assert.equal(endsOf(node, lock), end === 'granted' ? 2 : 1, lock);
    };
    const all = nodes.flatMap((node) =>
      Array.from({ length: REQUESTS }, (_, index) => request(node, index)),
    );
    await Promise.all(all);
    for (const index of [0, 1]) {
      assert.equal(await suite.isFree(a, `contention-${index}`), true);
    }
  });
}
