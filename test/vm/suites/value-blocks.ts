/**
 * Value blocks of fs/dlm, beyond what all stacks do alike: when one is invalid, and when it is lost
 * without a word. Each scene is played with the resource kept by either node: the other one's bytes go
 * over the wire.
 */
import { expect } from 'chai';

import type { NodeDriver } from '../../../lib/conformance/index.js';
import { DLM_LKF, DLM_LOCK, DLM_SBF } from '../../../lib/glue.js';
import { type Kernel, startAgent, TEST_TIMEOUT_MS, useCluster } from '../../support/vm-world.js';

const { NL, CR, CW, PR, PW, EX } = DLM_LOCK;
const { ALTCW, ALTPR, CONVDEADLK, HEADQUE, IVVALBLK, VALBLK } = DLM_LKF;

const VALID = { status: 0, flags: 0, lvbValid: true };
const INVALID = { status: 0, flags: DLM_SBF.VALNOTVALID, lvbValid: false };

export function valueBlocks(kernel: Kernel): void {
  describe(`value blocks of the kernel's DLM, ${kernel}`, function () {
    this.timeout(TEST_TIMEOUT_MS);
    const getCluster = useCluster({ nodes: 3, membership: 'host', kernel });
    let a: NodeDriver, b: NodeDriver, c: NodeDriver;

    before(async () => {
      const cluster = getCluster();
      const agents = await Promise.all([1, 2, 3].map((id) => startAgent(cluster, id)));
      [a, b, c] = agents as [NodeDriver, NodeDriver, NodeDriver];
      for (const node of [a, b, c]) await node.connect('pcmk', 'blocks');
    });
    let tests = 0;
    beforeEach(() => {
      tests += 1;
      for (const node of [a, b, c]) node.begin(`t${tests}`);
    });
    afterEach(() => {
      for (const node of [a, b, c]) node.checkNothingElseCame();
    });

    async function write(node: NodeDriver, resource: string, lvb: string): Promise<void> {
      await node.lock(`writer-${resource}`, resource, EX);
      await node.unlock(`writer-${resource}`, { flags: VALBLK, lvb });
    }

    /** Plays a scene on a resource with the block "old", kept by a and then by b. */
    function scene(
      title: string,
      name: string,
      play: (resource: string, lock: string) => Promise<void>,
    ): void {
      it(title, async () => {
        for (const keeper of [a, b]) {
          const resource = `${name}-${keeper.number}`;
          await keeper.lock(`keep-${resource}`, resource, NL);
          await write(b, resource, 'old');
          await play(resource, `lock-${resource}`);
          await keeper.unlock(`keep-${resource}`);
        }
      });
    }

    scene('a new lock in NL reads the block, and a conversion to NL too', 'nl', async (r, l) => {
      expect(await a.lock(l, r, NL, VALBLK)).to.include({ ...VALID, lvb: 'old' });
      await write(b, r, 'new');
      const converted = await a.convert(l, NL, { flags: VALBLK, lvb: 'mine' });
      expect(converted).to.include({ ...VALID, lvb: 'new' });
      await a.unlock(l);
    });

    for (const [name, mode] of Object.entries(DLM_LOCK)) {
      const invalidates = mode >= PW;
      const what = invalidates ? 'makes the block invalid' : 'is nothing to the block';
      const expected = invalidates ? INVALID : { ...VALID, lvb: 'old' };

      scene(`an unlock of ${name} with IVVALBLK ${what}`, `iv-unlock-${mode}`, async (r, l) => {
        await a.lock(l, r, mode);
        await a.unlock(l, { flags: IVVALBLK });
        expect(await b.lock(l, r, PR, VALBLK)).to.include(expected);
        await b.unlock(l);
      });

      scene(
        `a node that leaves with ${name} and no unlock ${what}`,
        `iv-leave-${mode}`,
        async (r, l) => {
          await a.connect('pcmk', 'blocks', [1, 0], { on: 'second' });
          await a.lock(l, r, mode, VALBLK, { on: 'second' });
          await a.disconnect('second');
          expect(await b.lock(l, r, PR, VALBLK)).to.include(expected);
          await b.unlock(l);
        },
      );

      for (const [toName, to] of Object.entries(DLM_LOCK)) {
        const writes = mode >= PW && to <= mode;
        const which = writes ? 'makes the block invalid' : 'is nothing to the block';
        scene(
          `a conversion from ${name} to ${toName} with IVVALBLK ${which}`,
          `iv-convert-${mode}-${to}`,
          async (r, l) => {
            await a.lock(l, r, mode);
            expect((await a.convert(l, to, { flags: IVVALBLK })).status).to.equal(0);
            // From now on the lock has neither the flag nor a mode in which an unlock would matter.
            expect((await a.convert(l, NL)).status).to.equal(0);
            const after = writes ? INVALID : { ...VALID, lvb: 'old' };
            expect(await b.lock(l, r, PR, VALBLK)).to.include(after);
            await b.unlock(l);
            await a.unlock(l);
          },
        );
      }
    }

    scene('a block that is invalid is valid again once it is written', 'heal', async (r, l) => {
      await a.lock(l, r, EX);
      await a.unlock(l, { flags: IVVALBLK });
      expect(await b.lock(l, r, PW, VALBLK)).to.include(INVALID);
      expect((await b.convert(l, CR, { flags: VALBLK, lvb: 'new' })).status).to.equal(0);
      expect(await a.lock(`${l}-reader`, r, CR, VALBLK)).to.include({ ...VALID, lvb: 'new' });
      await a.unlock(`${l}-reader`);
      await b.unlock(l);
    });

    scene('a new lock in another mode than was asked for says so', 'alt', async (r, l) => {
      for (const [flag, held] of [
        [ALTPR, PR],
        [ALTCW, CW],
      ] as const) {
        const [holder, other] = [`${l}-${flag}-holder`, `${l}-${flag}`];
        await b.lock(holder, r, held);
        const granted = await a.lock(other, r, EX, flag | VALBLK);
        expect(granted).to.include({ status: 0, flags: DLM_SBF.ALTMODE, lvb: 'old' });
        await a.unlock(other, { flags: VALBLK, lvb: 'not in this mode' });
        expect(await b.lock(`${l}-${flag}-reader`, r, CR, VALBLK)).to.include({ lvb: 'old' });
        await b.unlock(`${l}-${flag}-reader`);
        await b.unlock(holder);
      }
    });

    // Demoted while it waits: its own node hears of that with the grant, and takes it for one that
    // reads nothing (set_lvb_lock_pc()).
    scene('a demoted conversion from PR to CW reads no block', 'demoted', async (r, l) => {
      const [stands, upgrades] = [`${l}-stands`, `${l}-upgrades`];
      await c.lock(stands, r, PR);
      await b.lock(upgrades, r, CR);
      await a.lock(l, r, PR);
      const flags = VALBLK | CONVDEADLK;
      expect(await a.askConvert(l, CW, { flags, lvb: 'own' })).to.equal(0);
      await c.blockingAst(stands);
      expect(await b.askConvert(upgrades, EX, { flags: HEADQUE })).to.equal(0);
      await c.unlock(stands);
      expect((await b.lockAst(upgrades)).status).to.equal(0);
      await b.unlock(upgrades, { flags: VALBLK, lvb: 'new' });
      const granted = { status: 0, flags: DLM_SBF.DEMOTED, lvb: 'own' };
      expect(await a.lockAst(l)).to.include(granted);
      await a.unlock(l);
    });

    describe('after the death of a node in EX', () => {
      /** Who the resource's master is, and what the survivors have of it. */
      const SCENES = [
        'survivor keeps it',
        'survivor keeps it, no VALBLK',
        'master',
        'alone',
      ] as const;

      /** Of these the dead one was the master, and b has a conversion with VALBLK that only reads. */
      const [WAITING, DOWN] = ['a conversion waits', 'a conversion down'];

      before(async () => {
        for (const node of [a, b, c]) node.begin('deaths');
        await c.lock('k0', SCENES[0], NL);
        await c.lock('k1', SCENES[1], NL);
        await a.lock('k2', SCENES[2], NL);
        for (const name of SCENES) await write(a, name, 'old');
        // Not to read the block: what these have of it does not count.
        await b.lock('k2', SCENES[2], NL);
        await a.lock('h0', SCENES[0], EX, VALBLK);
        await a.lock('h1', SCENES[1], EX);
        await a.lock('h2', SCENES[2], EX, VALBLK);
        await a.lock('h3', SCENES[3], EX, VALBLK);
        for (const [name, lock] of [
          [WAITING, 'waiting'],
          [DOWN, 'down'],
        ] as const) {
          await a.lock(lock, name, NL);
          await write(b, name, 'old');
          await b.lock(lock, name, PR, VALBLK);
        }
        await c.lock('waiting', WAITING, PR);
        expect(await b.askConvert('waiting', EX, { flags: VALBLK, lvb: 'draft' })).to.equal(0);
        await c.blockingAst('waiting');
        await b.convert('down', CW, { flags: VALBLK, lvb: 'draft' });
        await getCluster().kill(a.number);
        await b.nodeDown(a.number);
        await c.nodeDown(a.number);
      });
      beforeEach(() => {
        for (const node of [b, c]) node.begin('deaths');
      });

      it('the block is invalid where its master lives', async () => {
        expect(await b.lock('r0', SCENES[0], PR, VALBLK)).to.include({ ...INVALID, lvb: 'old' });
        await b.unlock('r0');
      });

      it('it is valid, and as it was, where the dead one had not asked for it', async () => {
        expect(await b.lock('r1', SCENES[1], PR, VALBLK)).to.include({ ...VALID, lvb: 'old' });
        await b.unlock('r1');
      });

      it('it is zeros and called valid where its master died and nobody else had it', async () => {
        expect(await c.lock('r2', SCENES[2], PR, VALBLK)).to.include({ ...VALID, lvb: '' });
        await c.unlock('r2');
      });

      it('it is as it was where a conversion that reads it had to wait', async () => {
        await c.unlock('waiting');
        expect(await b.lockAst('waiting')).to.include({ ...VALID, lvb: 'old' });
        await b.unlock('waiting');
      });

      it('it is as it was where a conversion had gone down without writing it', async () => {
        expect(await c.lock('r-down', DOWN, CR, VALBLK)).to.include({ ...VALID, lvb: 'old' });
        await c.unlock('r-down');
        await b.unlock('down');
      });

      it('it is zeros and called valid where nobody else had the resource', async () => {
        expect(await c.lock('r3', SCENES[3], PR, VALBLK)).to.include({ ...VALID, lvb: '' });
        await c.unlock('r3');
      });
    });
  });
}
