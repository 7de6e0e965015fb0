/** When handlers are called, with what, and what they may do. */
import { expect } from 'chai';
import { constants } from 'node:os';

import {
  DLM_LKF,
  DLM_LOCK,
  DlmLksb,
  killO2cbNode,
  type ClusterConnection,
} from '../../lib/glue.js';
import { runChild } from '../lifecycle/run-child.js';
import { disconnectTestNodes, freshCluster, TestNode } from './test-node.js';

const { NL, PR, EX } = DLM_LOCK;
const { CANCEL, CONVERT } = DLM_LKF;
const { EACCES, EINVAL } = constants.errno;

describe('handlers', () => {
  let cluster: string;
  let node: TestNode;
  let connection: ClusterConnection;

  beforeEach(async () => {
    cluster = freshCluster();
    node = new TestNode(1, cluster);
    connection = await node.connect();
  });
  afterEach(disconnectTestNodes);

  it('are never called before the call that caused it has returned', async () => {
    const { glue } = node;
    let isInside = false;
    const inside: string[] = [];
    node.onCall = ({ kind }) => {
      if (isInside) inside.push(kind);
    };
    const call = (action: () => unknown) => {
      isInside = true;
      const result = action();
      isInside = false;
      expect(result).to.equal(0);
    };
    const [lksb, waiter] = [new DlmLksb(), new DlmLksb()];
    call(() => glue.dlmLock(connection, EX, lksb, 0, 'l'));
    await node.next('lockAst', lksb);
    call(() => glue.dlmLock(connection, PR, waiter, 0, 'l'));
    expect(await node.next('blockingAst', lksb)).to.include({ level: PR });
    call(() => glue.dlmLock(connection, NL, lksb, CONVERT, ''));
    await node.next('lockAst', lksb);
    await node.next('lockAst', waiter);
    call(() => glue.dlmUnlock(connection, lksb, 0));
    call(() => glue.dlmUnlock(connection, waiter, 0));
    await node.next('unlockAst', lksb);
    await node.next('unlockAst', waiter);
    const other = new TestNode(2, cluster);
    await other.connect();
    call(() => (killO2cbNode(2, cluster), 0));
    await node.next('nodeDown', undefined);
    expect(inside).to.deep.equal([]);
  });

  it('come on a turn of their own: not from a microtask of the call', async () => {
    const lksb = new DlmLksb();
    node.glue.dlmLock(connection, EX, lksb, 0, 'l');
    for (let count = 0; count < 100; count += 1) await Promise.resolve();
    expect(node.calls).to.deep.equal([]);
    await node.next('lockAst', lksb);
    await node.unlock(connection, lksb);
  });

  it('hand the recovery data to the recovery handler, once for a death', async () => {
    const data = { recovery: true };
    const survivor = new TestNode(2, cluster);
    const surviving = await survivor.connect('group', data);
    killO2cbNode(1, cluster);
    expect(await survivor.next('nodeDown', data)).to.include({ node: 1 });
    // Whatever was on its way has come when a lock has come and gone.
    await survivor.unlock(surviving, await survivor.lock(surviving, 'l'));
    expect(survivor.calls.map(({ kind }) => kind)).to.deep.equal([
      'nodeDown',
      'lockAst',
      'unlockAst',
    ]);
    expect(node.calls).to.deep.equal([]);
  });

  describe('astarg', () => {
    it('is the lksb unless another is given', async () => {
      const lksb = await node.lock(connection, 'l');
      await node.unlock(connection, lksb);
      expect(node.calls.map(({ at }) => at)).to.deep.equal([lksb, lksb]);
    });

    for (const [what, astarg] of Object.entries({
      object: { mine: true },
      string: 'mine',
      zero: 0,
      null: null,
    })) {
      it(`is what was given, here ${what}, in all three handlers`, async () => {
        const { glue } = node;
        const lksb = new DlmLksb();
        glue.dlmLock(connection, EX, lksb, 0, 'l', astarg);
        await node.next('lockAst', astarg);
        const waiter = new DlmLksb();
        glue.dlmLock(connection, EX, waiter, 0, 'l');
        await node.next('blockingAst', astarg);
        glue.dlmUnlock(connection, lksb, 0);
        await node.next('unlockAst', astarg);
        await node.next('lockAst', waiter);
        await node.unlock(connection, waiter);
      });
    }

    it("stays the first one's at a conversion", async () => {
      const lksb = new DlmLksb();
      node.glue.dlmLock(connection, EX, lksb, 0, 'l', 'first');
      await node.next('lockAst', 'first');
      node.glue.dlmLock(connection, PR, lksb, CONVERT, '', 'ignored');
      await node.next('lockAst', 'first');
      node.glue.dlmUnlock(connection, lksb, 0);
      await node.next('unlockAst', 'first');
    });

    it('of an unlock is for its unlock AST alone', async () => {
      const lksb = new DlmLksb();
      node.glue.dlmLock(connection, EX, lksb, 0, 'l', 'lock');
      await node.next('lockAst', 'lock');
      node.glue.dlmUnlock(connection, lksb, 0, 'unlock');
      await node.next('unlockAst', 'unlock');
      await node.relock(connection, lksb, 'l');
      await node.unlock(connection, lksb);
    });

    it('of a cancelled conversion is not that of the unlock after it', async () => {
      const holder = await node.lock(connection, 'l', PR);
      const lksb = await node.lock(connection, 'l', PR);
      node.glue.dlmLock(connection, EX, lksb, CONVERT, '');
      await node.next('blockingAst', holder);
      expect(node.glue.dlmUnlock(connection, lksb, CANCEL, 'cancel')).to.equal(0);
      await node.next('unlockAst', 'cancel');
      expect(node.glue.dlmUnlock(connection, lksb, 0)).to.equal(0);
      await node.next('unlockAst', lksb);
      await node.unlock(connection, holder);
    });

    it('of an unlock under way is not changed by one that is refused', async () => {
      const lksb = await node.lock(connection, 'l');
      expect(node.glue.dlmUnlock(connection, lksb, 0, 'accepted')).to.equal(0);
      expect(node.glue.dlmUnlock(connection, lksb, 0, 'refused')).to.equal(-EACCES);
      expect(await node.unlockAstargs(1)).to.deep.equal(['accepted']);
    });

    for (const late of [[], ['late'], [undefined], ['late', undefined, 'later']]) {
      it(`of an unlock is not that of ${late.length} cancels before it: ${late.join()}`, async () => {
        const lksb = await node.lock(connection, 'l');
        for (const astarg of late) {
          expect(node.glue.dlmUnlock(connection, lksb, CANCEL, astarg)).to.equal(0);
        }
        expect(node.glue.dlmUnlock(connection, lksb, 0, undefined)).to.equal(0);
        expect(await node.unlockAstargs(1)).to.deep.equal([undefined]);
        // And nothing of it is left.
        await node.relock(connection, lksb, 'l');
        expect(node.glue.dlmUnlock(connection, lksb, 0, 'unlock')).to.equal(0);
        expect(await node.unlockAstargs(2)).to.deep.equal([undefined, 'unlock']);
      });
    }

    it('of a cancel under way is not changed by the unlock after it', async () => {
      const holder = await node.lock(connection, 'l', PR);
      const lksb = await node.lock(connection, 'l', PR);
      node.glue.dlmLock(connection, EX, lksb, CONVERT, '');
      await node.next('blockingAst', holder);
      expect(node.glue.dlmUnlock(connection, lksb, CANCEL, 'cancel')).to.equal(0);
      expect(node.glue.dlmUnlock(connection, lksb, 0, 'unlock')).to.equal(0);
      expect(await node.unlockAstargs(2)).to.deep.equal(['cancel', 'unlock']);
      await node.unlock(connection, holder);
    });
  });

  describe('from inside', () => {
    it('may lock, and unlock', async () => {
      const lksbs = Array.from({ length: 200 }, () => new DlmLksb());
      let next = 0;
      node.onCall = ({ kind, at }) => {
        if (kind === 'lockAst') {
          node.glue.dlmUnlock(connection, at as DlmLksb, 0);
          const lksb = lksbs[(next += 1)];
          if (lksb !== undefined) node.glue.dlmLock(connection, EX, lksb, 0, `l${next % 3}`);
        }
      };
      node.glue.dlmLock(connection, EX, lksbs[0]!, 0, 'l0');
      await Promise.all(lksbs.map((lksb) => node.next('unlockAst', lksb)));
      expect(node.calls.filter(({ kind }) => kind === 'lockAst')).to.have.lengthOf(200);
    });

    for (const count of [1, 2, 300]) {
      it(`cannot give up what has not been told, of ${count} granted at once`, async () => {
        const { glue } = node;
        const lksbs = Array.from({ length: count }, () => new DlmLksb());
        const later = Array.from({ length: count }, () => new DlmLksb());
        const told = new Set<unknown>();
        const wrong: string[] = [];
        const expectUntold = (lksb: DlmLksb, what: string): void => {
          const results = [
            glue.dlmUnlock(connection, lksb, 0),
            glue.dlmLock(connection, PR, lksb, CONVERT, ''),
          ];
          if (results.join() !== `${-EINVAL},${-EACCES}`) wrong.push(`${what}: ${results.join()}`);
        };
        node.onCall = ({ kind, at }) => {
          if (kind !== 'lockAst') return;
          told.add(at);
          const index = lksbs.indexOf(at as DlmLksb);
          for (const [other, lksb] of lksbs.entries()) {
            if (!told.has(lksb)) expectUntold(lksb, `${other} in the handler of ${index}`);
          }
          const next = later[index];
          if (next !== undefined) {
            glue.dlmLock(connection, EX, next, 0, `later-${index}`);
            expectUntold(next, `the one asked for in the handler of ${index}`);
          }
          const result = glue.dlmUnlock(connection, at as DlmLksb, 0);
          if (result !== 0) wrong.push(`${index} itself: ${result}`);
        };
        for (const [index, lksb] of lksbs.entries()) {
          glue.dlmLock(connection, EX, lksb, 0, `l${index}`);
        }
        await Promise.all([...lksbs, ...later].map((lksb) => node.next('unlockAst', lksb)));
        expect(wrong).to.deep.equal([]);
      });
    }

    it('may give way in the blocking AST', async () => {
      node.onCall = ({ kind, at }) => {
        if (kind === 'blockingAst') node.glue.dlmUnlock(connection, at as DlmLksb, 0);
      };
      await node.lock(connection, 'l');
      for (let count = 0; count < 50; count += 1) await node.lock(connection, 'l');
      expect(node.calls.filter(({ kind }) => kind === 'blockingAst')).to.have.lengthOf(50);
    });

    for (const kind of ['lockAst', 'unlockAst', 'blockingAst', 'nodeDown'] as const) {
      it(`may disconnect in ${kind}, and no call follows`, async () => {
        const other = new TestNode(2, cluster);
        const { glue } = node;
        // In one batch: a lock granted, an unlock, a blocking AST, a death.
        const unlocked = await node.lock(connection, 'unlocked');
        await node.lock(connection, 'blocking');
        const toOther = await other.connect();
        let disconnecting: Promise<void> | undefined;
        const seen = node.calls.length;
        let callsWhenGone = 0;
        const done = new Promise<void>((resolve) => {
          node.onCall = (call) => {
            if (call.kind !== kind || disconnecting !== undefined) return;
            disconnecting = glue.clusterDisconnect(connection).then(resolve);
            callsWhenGone = node.calls.length;
          };
        });
        const first = new DlmLksb();
        const acts = {
          lockAst: () => glue.dlmLock(connection, EX, first, 0, 'first'),
          unlockAst: () => glue.dlmUnlock(connection, unlocked, 0),
          blockingAst: () => other.glue.dlmLock(toOther, EX, new DlmLksb(), 0, 'blocking'),
          nodeDown: () => killO2cbNode(2, cluster),
        };
        // The one that disconnects comes first of the batch. Only the death is told before it.
        acts[kind]();
        for (const [name, act] of Object.entries(acts)) {
          if (name !== kind && !(kind === 'nodeDown' && name === 'blockingAst')) act();
        }
        await done;
        expect(connection.state).to.equal('disconnected');
        expect(glue.activeClusterPlugin).to.equal(undefined);
        await new Promise(setImmediate);
        expect(node.calls.length, 'calls').to.equal(callsWhenGone);
        expect(callsWhenGone).to.equal(seen + (kind === 'nodeDown' ? 1 : 2));
      });
    }

    it('may connect again in a handler', async () => {
      let again: Promise<ClusterConnection> | undefined;
      node.onCall = () => {
        again ??= node.connect('again');
      };
      const lksb = await node.lock(connection, 'l');
      const second = await again!;
      await node.unlock(second, await node.lock(second, 'l'));
      await node.unlock(connection, lksb);
    });
  });

  describe('that throw', () => {
    interface Outcome {
      thrown: string[];
      calls: string[];
    }

    const kinds = ['lockAst', 'unlockAst', 'blockingAst', 'nodeDown'];
    const cases = kinds.flatMap((kind) => [
      { kind, mode: 'sync' },
      { kind, mode: 'async' },
    ]);
    for (const { kind, mode } of cases) {
      it(`from ${kind}, ${mode}: one uncaught exception each, and all others run`, async () => {
        const child = runChild(new URL('children/throwing-handler.js', import.meta.url), [
          kind,
          mode,
        ]);
        const exit = await child.exit;
        expect(exit, exit.output).to.include({ code: 0, signal: null });
        const { thrown, calls } = JSON.parse(exit.stdout) as Outcome;
        expect(thrown).to.deep.equal([`Error: from ${kind}`, 'undefined']);
        for (const name of kinds) {
          expect(calls.filter((call) => call === name).length, name).to.equal(2);
        }
      });
    }

    it('end a process that does not catch it, with the stack of the handler', async () => {
      const child = runChild(new URL('children/throwing-handler.js', import.meta.url), [
        'lockAst',
        'uncaught',
      ]);
      const exit = await child.exit;
      expect(exit.code, exit.output).to.equal(1);
      expect(exit.output).to.match(/Error: from lockAst\n\s+at .*throwing-handler/);
    });
  });
});
