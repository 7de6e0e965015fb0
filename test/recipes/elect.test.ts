/** Elections: one leads after the other, with tokens that grow, whatever becomes of the leader. */
import { expect } from 'chai';

import { DlmError, type Lockspace, type LockspaceOptions } from '../../lib/index.js';
import { elect, type Term } from '../../lib/recipes/index.js';
import { codeOf, rejection, WORLDS, type Nodes, type World } from '../locks/worlds.js';

const TOKENS: Partial<LockspaceOptions> = { tokens: true };

/** The next term, of a candidate that does not stop by itself. */
async function next(terms: AsyncGenerator<Term, never>): Promise<Term> {
  return (await terms.next()).value;
}

function suite(world: World): void {
  const test = (
    title: string,
    body: (one: Lockspace, two: Lockspace, nodes: Nodes) => Promise<void>,
  ): void => {
    it(title, () =>
      world.run(async (nodes) => {
        const one = await nodes.open(1, TOKENS);
        const two = await nodes.open(2, TOKENS);
        await body(one, two, nodes);
        await two.close();
      }),
    );
  };

  test('one leads, and who steps down stands again behind the others', async (one, two) => {
    const order: string[] = [];
    const tokens: bigint[] = [];
    const a = elect(one, 'leader');
    const first = await next(a);
    tokens.push(first.token);
    const b = elect(two, 'leader');
    const second = next(b).then((term) => {
      order.push('second');
      return term;
    });
    // What was asked for before is there by now.
    await two.pin('leader');
    order.push('first steps down');
    expect(first.signal.aborted).to.equal(false);
    const third = next(a);
    tokens.push((await second).token);
    expect(first.signal.reason).to.include({ name: 'AbortError' });
    expect(order).to.deep.equal(['first steps down', 'second']);
    await b.return(undefined as never);
    expect((await second).signal.aborted).to.equal(true);
    tokens.push((await third).token);
    for (const [index, token] of tokens.slice(1).entries()) {
      expect(token > tokens[index]!, `${token} above ${tokens[index]}`).to.equal(true);
    }
    await a.return(undefined as never);
    await one.close();
  });

  test('break, return and a throw step down for good', async (one, two) => {
    const failure = new Error('of the body');
    const bodies: (() => Promise<unknown>)[] = [
      async () => {
        for await (const { token } of elect(one, 'leader')) if (token > 0n) break;
      },
      async () => {
        for await (const { token } of elect(one, 'leader')) return token;
        return undefined;
      },
      async () => {
        for await (const { token } of elect(one, 'leader')) if (token > 0n) throw failure;
      },
    ];
    for (const body of bodies) {
      await body().catch((error: unknown) => expect(error).to.equal(failure));
      const lock = await two.lock('leader', 'EX', { timeoutMs: 60_000 });
      await lock.release();
    }
    await one.close();
  });

  test('the signal ends the wait, and tells the leader', async (one, two) => {
    const stopping = new AbortController();
    const { signal } = stopping;
    const a = elect(one, 'leader', { signal });
    const term = await next(a);
    const waits = rejection(next(elect(two, 'leader', { signal })));
    const reason = new Error('no more');
    stopping.abort(reason);
    expect(await waits).to.equal(reason);
    expect(term.signal.reason).to.equal(reason);
    // It leads until its body ends.
    expect(await two.tryLock('leader', 'EX')).to.equal(null);
    expect(await rejection(next(a))).to.equal(reason);
    await (await two.lock('leader', 'EX')).release();
    expect(await a.next()).to.deep.equal({ done: true, value: undefined });
    await one.close();
  });

  test('a leader that closes is told, and so is its iteration', async (one, two) => {
    const a = elect(one, 'leader');
    const term = await next(a);
    const successor = next(elect(two, 'leader'));
    await one.close();
    expect(term.signal.reason)
      .to.be.an.instanceOf(DlmError)
      .and.to.include({ code: 'ERR_DLM_CLOSED' });
    expect((await successor).token > term.token).to.equal(true);
    expect(await codeOf(next(a))).to.equal('ERR_DLM_CLOSED');
  });

  test('a leader that dies has a successor', async (one, two, nodes) => {
    const a = elect(one, 'leader');
    const term = await next(a);
    const successor = next(elect(two, 'leader'));
    nodes.kill(1);
    expect((await successor).token > term.token).to.equal(true);
    if (!nodes.outlives) return;
    expect(term.signal.reason).to.include({ code: 'ERR_DLM_LOST' });
    expect(await codeOf(next(a))).to.equal('ERR_DLM_LOST');
    await one.close();
  });

  it('says so where there are no tokens, and has no lock then', () =>
    world.run(async (nodes) => {
      const ls = await nodes.open(1);
      expect(await codeOf(next(elect(ls, 'leader')))).to.equal('ERR_DLM_NO_TOKEN');
      await (await ls.lock('leader', 'EX', { timeoutMs: 60_000 })).release();
      await ls.close();
    }));
}

describe('elect', () => {
  for (const world of WORLDS) {
    describe(world.title, () => suite(world));
  }

  it('refuses what it cannot take, by name', async () => {
    await WORLDS[0]!.run(async (nodes) => {
      const ls = await nodes.open(1, TOKENS);
      for (const [args, argument] of [
        [[undefined, 'leader'], 'ls'],
        [[{}, 'leader'], 'ls'],
        [[ls, 'leader', null], 'options'],
        [[ls, 'leader', { signal: {} }], 'options.signal'],
        [[ls, 'leader', { timeoutMs: 5 }], 'options.timeoutMs'],
      ] as const) {
        expect(() => elect(...(args as unknown as Parameters<typeof elect>)))
          .to.throw(TypeError)
          .with.property('argument', argument);
      }
      expect(await rejection(next(elect(ls, '')))).to.include({ argument: 'name' });
    });
  });
});
