/** Fencing tokens: what each grant gets, who may open, and what becomes of those who wait for one. */
import { expect } from 'chai';

import {
  createEmulatedUserPlugin,
  createO2cbPlugin,
  killEmulatedUserNode,
  killO2cbNode,
  type StackPlugin,
} from '../../lib/glue.js';
import { openLockspace, type DlmError, type Lock, type Lockspace } from '../../lib/index.js';
import { disconnectTestNodes, freshCluster, TestNode } from '../stackglue/test-node.js';
import { scriptedStack } from './scripted.js';
import { atRest, codeOf, LOCKSPACE, rejection, WORLDS } from './worlds.js';

const WITH = { tokens: true } as const;
const NAME = 'inode/42';

/** The parts of a token: README.md of lib/tokens. */
function partsOf(token: bigint): { epoch: bigint; sequence: bigint; count: bigint } {
  return { epoch: token >> 43n, sequence: (token >> 8n) & (2n ** 35n - 1n), count: token & 255n };
}

async function tokenOf(lock: Promise<Lock>): Promise<bigint> {
  const granted = await lock;
  await granted.release();
  return granted.token;
}

for (const world of WORLDS) {
  describe(`tokens on ${world.title}`, () => {
    it('grow with each grant, on whichever node, though the block goes with the last lock', () =>
      world.run(async (nodes) => {
        const [one, two] = [await nodes.open(1, WITH), await nodes.open(2, WITH)];
        let last = 0n;
        for (const ls of [one, two, two, one, one, two]) {
          const token = await tokenOf(ls.lock(NAME, 'EX'));
          expect(token > last, `${token} after ${last}`).to.equal(true);
          expect(token < 2n ** 63n).to.equal(true);
          last = token;
        }
      }));

    it('count on in the block of a name that stays in use, and ask nobody', () =>
      world.run(async (nodes) => {
        const [one, two] = [await nodes.open(1, WITH), await nodes.open(2, WITH)];
        await one.pin(NAME);
        const first = partsOf(await tokenOf(one.lock(NAME, 'EX')));
        for (const [at, ls] of [two, one, one, two].entries()) {
          const parts = partsOf(await tokenOf(ls.lock(NAME, 'EX')));
          expect(parts).to.deep.equal({ ...first, count: first.count + BigInt(at) + 1n });
        }
      }));

    it('take another sequence when they have counted to the end', () =>
      world.run(async (nodes) => {
        const ls = await nodes.open(1, WITH);
        await ls.pin(NAME);
        let last = 0n;
        const sequences = new Set<bigint>();
        for (let grant = 0; grant < 600; grant += 1) {
          const token = await tokenOf(ls.lock(NAME, 'EX'));
          if (token <= last) expect.fail(`${token} after ${last}`);
          last = token;
          sequences.add(partsOf(token).sequence);
        }
        expect(sequences.size).to.equal(3);
      }));

    it('are of PW and EX, also by conversion, and stay to be read', () =>
      world.run(async (nodes) => {
        const ls = await nodes.open(1, WITH);
        const lock = await ls.lock(NAME, 'PR');
        expect(() => lock.token)
          .to.throw(Error)
          .with.property('code', 'ERR_DLM_NO_TOKEN');
        const tokens: bigint[] = [];
        for (const mode of ['EX', 'PR', 'EX', 'NL', 'EX'] as const) {
          await lock.convert(mode, { timeoutMs: 10_000 });
          tokens.push(lock.token);
        }
        const [first = 0n, down, second = 0n, further, third = 0n] = tokens;
        expect([down, further]).to.deep.equal([first, second]);
        expect(first < second && second < third).to.equal(true);
        await lock.release();
        expect(lock.token).to.equal(third);
      }));

    it('have a value beside them, which is as good as without', () =>
      world.run(async (nodes) => {
        const [one, two] = [await nodes.open(1, WITH), await nodes.open(2, WITH)];
        const keeper = await two.lock(NAME, 'NL', { value: true });
        expect(keeper.value.length).to.equal(world.stack === 'o2cb' ? 55 : 23);
        // A token that is written is no value.
        await tokenOf(one.lock(NAME, 'EX'));
        const lock = await one.lock(NAME, 'EX', { value: true });
        expect(lock.valueState).to.equal('unwritten');
        lock.value.fill(7);
        await lock.release();
        await tokenOf(two.lock(NAME, 'EX'));
        const read = await two.lock(NAME, 'PR', { value: true });
        expect(read.valueState).to.equal('fresh');
        expect([...read.value]).to.deep.equal(Array.from({ length: read.value.length }, () => 7));
        await read.release();
        expect(() => lock.value).not.to.throw();
        const bare = await one.lock(NAME, 'PR');
        expect(() => bare.value)
          .to.throw(Error)
          .with.property('code', 'ERR_DLM_NO_VALUE');
      }));

    it('grow over deaths and departures of those who had the last one', () =>
      world.run(async (nodes) => {
        const [one, two, three] = [
          await nodes.open(1, WITH),
          await nodes.open(2, WITH),
          await nodes.open(3, WITH),
        ];
        // The master of the name, and of the sequencer, is node 1.
        await one.pin(NAME);
        await two.pin(NAME);
        const last = await two.lock(NAME, 'EX');
        nodes.kill(1);
        await last.release();
        const second = await two.lock(NAME, 'EX');
        expect(second.token > last.token).to.equal(true);
        nodes.kill(2);
        const third = await three.lock(NAME, 'EX');
        expect(third.token > second.token).to.equal(true);
        expect(partsOf(third.token).epoch > partsOf(last.token).epoch).to.equal(true);
        await third.release();
      }));

    it('keep a value in doubt, though they are written over it', () =>
      world.run(async (nodes) => {
        const [one, two] = [await nodes.open(1, WITH), await nodes.open(2, WITH)];
        await one.pin(NAME);
        const written = await one.lock(NAME, 'EX', { value: true });
        written.value.fill(1);
        await written.release();
        await two.lock(NAME, 'EX', { value: true });
        nodes.kill(2);
        const doubted = world.stack === 'o2cb' ? 'unwritten' : 'invalid';
        for (let grant = 0; grant < 3; grant += 1) {
          const lock = await one.lock(NAME, 'EX', { value: true });
          expect(lock.valueState, `grant ${grant}`).to.equal(doubted);
          if (grant === 2) lock.value = new Uint8Array([9]);
          await lock.release();
        }
        const lock = await one.lock(NAME, 'EX', { value: true });
        expect([lock.valueState, lock.value[0]]).to.deep.equal(['fresh', 9]);
        await lock.release();
      }));

    it('are for all who open the lockspace, or for none', () =>
      world.run(async (nodes) => {
        const one = await nodes.open(1, WITH);
        expect(await codeOf(nodes.open(2))).to.equal('ERR_DLM_TOKENS');
        const [two] = [await nodes.open(2, WITH)];
        expect(await codeOf(nodes.open(3))).to.equal('ERR_DLM_TOKENS');
        await one.close();
        expect(await codeOf(nodes.open(3))).to.equal('ERR_DLM_TOKENS');
        await two.close();
        const plain = await nodes.open(3);
        for (let again = 0; again < 2; again += 1) {
          expect(await codeOf(nodes.open(1, WITH))).to.equal('ERR_DLM_TOKENS');
          await (await nodes.open(2)).close();
        }
        const lock = await plain.lock(NAME, 'EX', { value: true });
        expect(() => lock.token)
          .to.throw(Error)
          .with.property('code', 'ERR_DLM_NO_TOKEN');
        expect(lock.value.length).to.equal(world.stack === 'o2cb' ? 63 : 31);
        await plain.close();
        await (await nodes.open(1, WITH)).close();
      }));

    it('leave one kind when both open at once', () =>
      world.run(async (nodes) => {
        const opens = [1, 2, 3, 1].map((node, at) => nodes.open(node, at % 2 === 0 ? WITH : {}));
        const results = await Promise.allSettled(opens);
        const isOpen = results.map(({ status }) => status === 'fulfilled');
        expect(isOpen.filter(Boolean).length).to.be.greaterThan(0);
        const kinds = new Set(isOpen.flatMap((is, at) => (is ? [at % 2] : [])));
        expect(kinds.size, isOpen.join(' ')).to.equal(1);
        for (const result of results) {
          if (result.status === 'rejected') {
            expect(result.reason).to.include({ code: 'ERR_DLM_TOKENS' });
          }
        }
      }));

    it('begin above what the store has seen, which is asked only where nobody else is', () =>
      world.run(async (nodes) => {
        const seen = 2n ** 50n + 5n;
        let calls = 0;
        const tokensAbove = (): Promise<bigint> => {
          calls += 1;
          return Promise.resolve(seen);
        };
        const one = await nodes.open(1, { ...WITH, tokensAbove });
        const two = await nodes.open(2, { ...WITH, tokensAbove });
        expect(calls).to.equal(1);
        const token = await tokenOf(two.lock(NAME, 'EX'));
        expect(token > seen).to.equal(true);
        // What the store has seen meanwhile, and more than that.
        await (await nodes.open(3, { ...WITH, tokensAbove: token })).close();
        const more = rejection(nodes.open(3, { ...WITH, tokensAbove: token + 2n ** 50n }));
        expect(await more).to.include({ code: 'ERR_DLM_TOKENS' });
        await one.close();
        await two.close();
        const again = await nodes.open(2, { ...WITH, tokensAbove: () => token });
        expect((await tokenOf(again.lock(NAME, 'EX'))) > token).to.equal(true);
      }));

    it('name what is wrong with the options, and open nothing', () =>
      world.run(async (nodes) => {
        const wrong: [object, string][] = [
          [{ tokens: 1 }, 'options.tokens'],
          [{ tokensAbove: 1n }, 'options.tokens'],
          [{ tokens: false, tokensAbove: 1n }, 'options.tokens'],
          [{ tokens: true, tokensAbove: 1 }, 'options.tokensAbove'],
          [{ tokens: true, tokensAbove: -1n }, 'options.tokensAbove'],
          [{ tokens: true, tokensAbove: 2n ** 63n }, 'options.tokensAbove'],
          [{ tokens: true, tokensAbove: () => 1 }, 'options.tokensAbove()'],
          [{ tokens: true, tokensAbove: () => 2n ** 63n }, 'options.tokensAbove()'],
        ];
        for (const [options, argument] of wrong) {
          expect(await rejection(nodes.open(1, options))).to.have.property('argument', argument);
        }
        const none = nodes.open(1, { ...WITH, tokensAbove: 2n ** 63n - 1n });
        expect(await codeOf(none)).to.equal('ERR_DLM_TOKENS');
        const reason = new Error('the store is away');
        const failing = nodes.open(1, { ...WITH, tokensAbove: () => Promise.reject(reason) });
        expect(await rejection(failing)).to.equal(reason);
        const hanging = { ...WITH, tokensAbove: () => new Promise<bigint>(() => undefined) };
        expect(await codeOf(nodes.open(1, { ...hanging, timeoutMs: 5 }))).to.equal(
          'ERR_DLM_TIMEOUT',
        );
        await (await nodes.open(1, { ...WITH, tokensAbove: 2n ** 62n })).close();
      }));

    it('come to an end, of which all are told', () =>
      world.run(async (nodes) => {
        const last = 2n ** 63n - 3n * 2n ** 43n;
        const one = await nodes.open(1, { ...WITH, tokensAbove: last });
        expect((await tokenOf(one.lock(NAME, 'EX'))) > last).to.equal(true);
        for (let again = 0; again < 2; again += 1) {
          // Its coming is one change more than can be counted.
          expect(await codeOf(nodes.open(2, WITH))).to.equal('ERR_DLM_TOKENS');
          expect(await codeOf(one.lock(NAME, 'EX'))).to.equal('ERR_DLM_TOKENS');
        }
        await (await one.lock(NAME, 'PR')).release();
        await atRest(one);
      }));

    it('are not for raw blocks, persistent locks and our own names', () =>
      world.run(async (nodes) => {
        const ls = await nodes.open(1, WITH);
        const raw = await rejection(ls.lock(NAME, 'EX', { raw: true }));
        expect(raw).to.have.property('argument', 'options.raw');
        for (const call of [
          () => ls.lock(NAME, 'EX', { persistent: true }),
          () => ls.adopt(NAME, 'EX'),
        ]) {
          expect(await codeOf(call())).to.equal('ERR_DLM_NO_ORPHANS');
        }
        for (const name of ['$stackglue.door', '$stackglue.', Buffer.from('$stackglue.x')]) {
          expect(await rejection(ls.lock(name, 'EX'))).to.have.property('argument', 'name');
        }
        await (await ls.lock('$stackglue', 'EX')).release();
      }));
  });
}

describe('a grant that waits for its token', () => {
  afterEach(disconnectTestNodes);

  for (const stack of ['o2cb', 'user'] as const) {
    /** Two nodes, and a third that has the sequencer in EX, as a process that was stopped there. */
    async function held(
      work: (one: Lockspace, two: Lockspace, letGo: () => Promise<void>) => Promise<void>,
      cluster = freshCluster(),
    ): Promise<void> {
      const [one, two] = await Promise.all(
        [1, 2].map((node) =>
          openLockspace(LOCKSPACE, {
            stack: stack === 'o2cb' ? 'o2cb' : 'emulated',
            node,
            cluster,
            ...WITH,
          }),
        ),
      );
      const stopped = new TestNode(8, cluster, stack === 'o2cb' ? 'o2cb' : 'pcmk');
      const connection = await stopped.connect(LOCKSPACE);
      const lksb = await stopped.lock(connection, '$stackglue.sequencer');
      await work(one!, two!, () => stopped.unlock(connection, lksb));
      await one!.close();
      await two!.close();
    }

    describe(stack, () => {
      it('gets it when it is there', () =>
        held(async (one, two, letGo) => {
          const locks = [one.lock('a', 'EX'), two.lock('b', 'EX'), one.lock('c', 'EX')];
          await letGo();
          for (const lock of locks) expect((await lock).token > 0n).to.equal(true);
        }));

      it('leaves nothing when its limit is reached', () =>
        held(async (one, two) => {
          expect(await codeOf(one.lock(NAME, 'EX', { timeoutMs: 1 }))).to.equal('ERR_DLM_TIMEOUT');
          const [controller, reason] = [new AbortController(), new Error('enough')];
          const lock = rejection(one.tryLock(NAME, 'EX', { signal: controller.signal }));
          controller.abort(reason);
          expect(await lock).to.equal(reason);
          await atRest(one);
          await (await two.lock(NAME, 'PR')).release();
        }));

      it('is what it was when the limit of its conversion is reached', () =>
        held(async (one, two) => {
          const lock = await one.lock(NAME, 'PR');
          for (let again = 0; again < 2; again += 1) {
            const converted = codeOf(lock.convert('EX', { timeoutMs: 1 }));
            expect(await converted).to.equal('ERR_DLM_TIMEOUT');
            expect(lock).to.include({ mode: 'PR', held: true });
          }
          await (await two.lock(NAME, 'PR')).release();
          expect(() => lock.token)
            .to.throw(Error)
            .with.property('code', 'ERR_DLM_NO_TOKEN');
          await lock.release();
          await atRest(one);
        }));

      it('can be released, busy until then', () =>
        held(async (one, two) => {
          const lock = await one.lock(NAME, 'PR');
          const converted = codeOf(lock.convert('EX', { timeoutMs: 1_000_000 }));
          // When it has EX nobody else is granted PR; before that it does not wait for its token.
          for (let isAlone = false; !isAlone;) {
            const other = await two.tryLock(NAME, 'PR');
            isAlone = other === null;
            await other?.release();
          }
          expect(lock.mode).to.equal('PR');
          expect(await codeOf(lock.convert('NL'))).to.equal('ERR_DLM_BUSY');
          await lock.release();
          expect(await converted).to.equal('ERR_DLM_RELEASED');
          await (await two.lock(NAME, 'PR')).release();
        }));

      it('ends with its lockspace', () =>
        held(async (one) => {
          const lock = await one.lock('other', 'PR');
          const ends = [
            codeOf(one.lock(NAME, 'EX')),
            codeOf(lock.convert('EX', { timeoutMs: 1_000_000 })),
          ];
          await one.close();
          expect(await Promise.all(ends)).to.deep.equal(['ERR_DLM_CLOSED', 'ERR_DLM_CLOSED']);
        }));

      it('ends with its node', () => {
        const cluster = freshCluster();
        return held(async (one) => {
          const end = codeOf(one.lock(NAME, 'EX'));
          if (stack === 'o2cb') killO2cbNode(1, cluster);
          else killEmulatedUserNode(1, cluster);
          expect(await end).to.equal('ERR_DLM_LOST');
        }, cluster);
      });
    });
  }
});

/** How many requests a stack has been asked for. */
function counted(inner: StackPlugin): { plugin: StackPlugin; requests: () => number } {
  let requests = 0;
  const { operations } = inner;
  const plugin: StackPlugin = {
    ...inner,
    operations: {
      ...operations,
      dlmLock: (...args) => {
        requests += 1;
        return operations.dlmLock(...args);
      },
      dlmUnlock: (...args) => {
        requests += 1;
        return operations.dlmUnlock(...args);
      },
    },
  };
  return { plugin, requests: () => requests };
}

describe('the requests of lock and release', () => {
  for (const stack of ['o2cb', 'user'] as const) {
    it(`are two for a name that stays in use, and for one that comes and goes the sequencer's more: ${stack}`, async () => {
      const cluster = freshCluster();
      const { plugin, requests } = counted(
        stack === 'o2cb' ? createO2cbPlugin({ cluster }) : createEmulatedUserPlugin({ cluster }),
      );
      const ls = await openLockspace(LOCKSPACE, { stack: plugin, ...WITH });
      await ls.pin('kept');
      await tokenOf(ls.lock('kept', 'EX'));
      const count = async (name: string): Promise<number> => {
        const before = requests();
        for (let grant = 0; grant < 100; grant += 1) await tokenOf(ls.lock(name, 'EX'));
        return requests() - before;
      };
      expect(await count('kept')).to.equal(200);
      // To EX and back; where no flags are, of the turn and of both blocks, which are read before.
      const turn = stack === 'o2cb' ? 2 + 2 * 4 : 2;
      expect(await count('gone')).to.equal(100 * (2 + turn));
      await ls.close();
    });
  }
});

describe('tokens of a process that is not told of the others any more', () => {
  it('are refused, and the locks with them; those without a token are not', async () => {
    const stack = scriptedStack('user', 1, freshCluster());
    const ls: Lockspace = await openLockspace(LOCKSPACE, { stack: stack.plugin, ...WITH });
    await ls.pin(NAME);
    const lock = await ls.lock(NAME, 'EX');
    await lock.convert('PR');
    stack.notice({ kind: 'keeperGone', locks: 'valid' });
    const error = (await rejection(lock.convert('EX', { timeoutMs: 1_000_000 }))) as DlmError;
    expect(error).to.include({ code: 'ERR_DLM_TOKENS', kind: 'refused' });
    expect(error.message).to.contain('keeper');
    await atRest(ls);
    expect(lock).to.include({ mode: 'PR', held: true });
    await lock.release();
    expect(await codeOf(ls.lock(NAME, 'EX'))).to.equal('ERR_DLM_TOKENS');
    expect(await codeOf(ls.lock('another', 'EX'))).to.equal('ERR_DLM_TOKENS');
    await atRest(ls);
    await (await ls.lock(NAME, 'PR')).release();
    await ls.close();
  });
});
