/** What each mode and each flag of fs/dlm does, on one node with several owners of locks. */
import { expect } from 'chai';
import { constants } from 'node:os';

import { DLM_LKF, DLM_LOCK, DLM_SBF, type LockMode } from '../../lib/glue.js';
import { runHolder } from '../support/holder.js';
import { dlmLog, locksOf, modesOf } from '../support/lock-view.js';
import { Random } from '../support/random.js';
import { makeOwners } from './owners.js';

const { EAGAIN, EBUSY, EDEADLK, EINVAL, ENOENT } = constants.errno;
const { NL, CR, CW, PR, PW, EX } = DLM_LOCK;
const {
  ALTCW,
  ALTPR,
  CONVDEADLK,
  CONVERT,
  EXPEDITE,
  FORCEUNLOCK,
  HEADQUE,
  IVVALBLK,
  NODLCKBLK,
  NODLCKWT,
  NOORDER,
  NOQUEUE,
  NOQUEUEBAST,
  ORPHAN,
  PERSISTENT,
  QUECVT,
  TIMEOUT,
  VALBLK,
} = DLM_LKF;

const GROUP = 'flags';

/** The limit of hundreds of rounds on a slow host. */
const RACES_MS = 600_000;

/** Of each ten rounds of a race these end in a certain way, so that both are seen on every host. */
const ROUNDS_OF_ALL_KINDS = 10;
const CERTAIN: Readonly<Record<number, 'lockAst' | 'unlockAst'>> = { 0: 'lockAst', 5: 'unlockAst' };
const PROGRAM = new URL('lock-user.js', import.meta.url);

type ModeName = keyof typeof DLM_LOCK;
const MODES = Object.entries(DLM_LOCK) as [ModeName, LockMode][];

/** `__dlm_compat_matrix` of fs/dlm/lock.c: a row for each mode that is held, a column for each wanted. */
const COMPATIBLE: Record<ModeName, string> = {
  NL: 'NL CR CW PR PW EX',
  CR: 'NL CR CW PR PW',
  CW: 'NL CR CW',
  PR: 'NL CR PR',
  PW: 'NL CR',
  EX: 'NL',
};

describe('on one node', () => {
  const { node, owners } = makeOwners(['a', 'b', 'c', 'd']);
  const { a, b, c, d } = owners;
  /** The resource of a test. */
  let r: string;
  let tests = 0;

  before(async () => {
    for (const owner of Object.values(owners)) await owner.connect(GROUP);
  });
  after(() => node.leave());

  beforeEach(() => {
    tests += 1;
    r = `r${tests}`;
    node.begin(r);
  });
  afterEach(async function () {
    if (this.currentTest?.state !== 'passed') {
      // The next test must not find this one's locks.
      await node.leave();
      for (const owner of Object.values(owners)) await owner.connect(GROUP);
      return;
    }
    for (const owner of Object.values(owners)) await owner.sync();
    node.checkNothingElseCame();
    expect(modesOf(GROUP, r), 'locks that the test left').to.deep.equal([]);
  });

  /** Whether nobody has a lock on the resource, by an owner that has none itself. */
  async function isBlockedFor(owner: typeof a, mode: LockMode): Promise<boolean> {
    const { status } = await owner.lock(r, mode, NOQUEUE);
    if (status === 0) await owner.unlock();
    else expect(status).to.equal(-EAGAIN);
    return status !== 0;
  }

  /** A program that takes EX with these flags and ends as it is told. */
  const hold = (ending: string, flags: number): Promise<void> =>
    runHolder(PROGRAM, [GROUP, r, ending, String(flags)], ending === 'wait');

  describe('modes', () => {
    for (const [heldName, held] of MODES) {
      for (const [wantedName, wanted] of MODES) {
        const fits = COMPATIBLE[heldName].split(' ').includes(wantedName);
        it(`${wantedName} beside ${heldName}: ${fits ? 'granted' : 'refused'}`, async () => {
          await a.lock(r, held);
          const { status } = await b.lock(r, wanted, NOQUEUE);
          expect(status).to.equal(fits ? 0 : -EAGAIN);
          const modes = fits ? [heldName, wantedName] : [heldName];
          expect(modesOf(GROUP, r)).to.have.members(modes);
          if (fits) await b.unlock();
          await a.unlock();
        });
      }
    }

    it('have a number for each, and no others', async () => {
      const wrong = -1 as LockMode;
      for (const mode of [wrong, 6 as LockMode]) {
        const refused = await a.ask(r, mode).catch((error: unknown) => error);
        expect(refused).to.be.an.instanceOf(Error).with.property('message').that.includes('mode');
      }
    });
  });

  describe('NOQUEUE', () => {
    it('makes a request fail rather than wait, and leaves nothing behind', async () => {
      await a.lock(r, EX);
      expect((await b.lock(r, PR, NOQUEUE)).status).to.equal(-EAGAIN);
      expect(modesOf(GROUP, r)).to.deep.equal(['EX']);
      await a.unlock();
    });

    it('makes a conversion fail rather than wait, and leaves the mode', async () => {
      await a.lock(r, PR);
      await b.lock(r, PR);
      expect((await b.convert(EX, { flags: NOQUEUE })).status).to.equal(-EAGAIN);
      expect(modesOf(GROUP, r)).to.deep.equal(['PR', 'PR']);
      await a.unlock();
      await b.unlock();
    });

    it('makes a request fail that only those who wait stand in the way of', async () => {
      await a.lock(r, PR);
      await b.wait(r, EX);
      expect((await c.lock(r, PR, NOQUEUE)).status).to.equal(-EAGAIN);
      await a.unlock();
      await b.lockAst();
      await b.unlock();
    });
  });

  describe('NOQUEUEBAST', () => {
    it('tells the holder of a request that fails', async () => {
      await a.lock(r, EX);
      expect((await b.lock(r, PR, NOQUEUE | NOQUEUEBAST)).status).to.equal(-EAGAIN);
      expect((await a.blockingAst()).level).to.equal(PR);
      await a.unlock();
    });

    it('tells the holder of a conversion that fails', async () => {
      await a.lock(r, PR);
      await b.lock(r, PR);
      expect((await b.convert(EX, { flags: NOQUEUE | NOQUEUEBAST })).status).to.equal(-EAGAIN);
      expect((await a.blockingAst()).level).to.equal(EX);
      await a.unlock();
      await b.unlock();
    });

    it('is what it takes: without it the holder is told nothing', async () => {
      await a.lock(r, EX);
      expect((await b.lock(r, EX, NOQUEUE)).status).to.equal(-EAGAIN);
      await a.sync();
      expect(a.blockingAsts).to.equal(0);
      await a.unlock();
    });

    it('tells the holder once until its mode changes', async () => {
      await a.lock(r, EX);
      for (let i = 0; i < 3; i += 1) await b.lock(r, EX, NOQUEUE | NOQUEUEBAST);
      await a.sync();
      expect(a.blockingAsts).to.equal(1);
      await a.convert(PR);
      await b.lock(r, EX, NOQUEUE | NOQUEUEBAST);
      await a.sync();
      expect(a.blockingAsts).to.equal(2);
      await a.unlock();
    });
  });

  describe('CONVERT', () => {
    it('changes the mode of the lock that is there', async () => {
      await a.lock(r, CR);
      const [before] = locksOf(GROUP, r);
      expect((await a.convert(PW)).status).to.equal(0);
      const [after, ...more] = locksOf(GROUP, r);
      expect(more).to.deep.equal([]);
      expect([before?.mode, after?.mode]).to.deep.equal(['CR', 'PW']);
      expect(after?.id).to.equal(before?.id);
      await a.unlock();
    });

    it('keeps the old mode while it waits', async () => {
      await a.lock(r, PR);
      await b.lock(r, PR);
      await b.waitConvert(EX);
      expect(modesOf(GROUP, r)).to.deep.equal(['PR', 'PR>EX']);
      expect((await a.blockingAst()).level).to.equal(EX);
      await a.unlock();
      expect((await b.lockAst()).status).to.equal(0);
      await b.unlock();
    });

    it('goes before those who wait for a new lock', async () => {
      await a.lock(r, PR);
      await b.lock(r, PR);
      await c.wait(r, EX);
      await b.waitConvert(EX);
      await a.unlock();
      expect((await b.lockAst()).status).to.equal(0);
      expect(modesOf(GROUP, r)).to.deep.equal(['EX', '>EX']);
      await b.unlock();
      await c.lockAst();
      await c.unlock();
    });
  });

  describe('QUECVT', () => {
    /** a waits for EX because of b; c has NL. */
    async function setScene(): Promise<void> {
      await a.lock(r, PR);
      await b.lock(r, PR);
      await c.lock(r, NL);
      await a.waitConvert(EX);
    }

    it('makes a conversion wait behind those that wait already', async () => {
      await setScene();
      await c.waitConvert(CR, QUECVT);
      expect(modesOf(GROUP, r)).to.deep.equal(['PR', 'PR>EX', 'NL>CR']);
      await b.unlock();
      await a.lockAst();
      await a.sync();
      expect(modesOf(GROUP, r)).to.deep.equal(['EX', 'NL>CR']);
      await a.unlock();
      expect((await c.lockAst()).status).to.equal(0);
      await c.unlock();
    });

    it('is what it takes: without it a conversion that nothing stands in the way of passes', async () => {
      await setScene();
      expect((await c.convert(CR)).status).to.equal(0);
      await b.unlock();
      await c.unlock();
      expect((await a.lockAst()).status).to.equal(0);
      await a.unlock();
    });

    it('is granted at once when no conversion waits', async () => {
      await a.lock(r, NL);
      expect((await a.convert(EX, { flags: QUECVT })).status).to.equal(0);
      await a.unlock();
    });

    it('is for conversions only', async () => {
      expect(await a.ask(r, EX, QUECVT)).to.equal(-EINVAL);
    });

    it('is for those that may have to wait: others are refused before the kernel hears of them', async () => {
      const complaints = (): number => dlmLog().split('validate_lock_args').length;
      const before = complaints();
      for (const [from, to] of [
        [EX, PR],
        [PR, NL],
        [CW, CW],
        [EX, EX],
      ] as const) {
        await a.lock(r, from);
        expect(await a.askConvert(to, { flags: QUECVT })).to.equal(-EINVAL);
        await a.unlock();
      }
      expect(complaints(), 'complaints in the log of the kernel').to.equal(before);
      for (const [from, to] of [
        [CW, PR],
        [PR, CW],
      ] as const) {
        await a.lock(r, from);
        expect((await a.convert(to, { flags: QUECVT })).status).to.equal(0);
        await a.unlock();
      }
    });
  });

  describe('CONVDEADLK', () => {
    it('lets the kernel demote the lock to NL, says so, and grants both in turn', async () => {
      await a.lock(r, PR);
      await b.lock(r, PR);
      await a.waitConvert(EX);
      await b.waitConvert(EX, CONVDEADLK);
      expect(await a.lockAst()).to.include({ status: 0, flags: 0 });
      expect(modesOf(GROUP, r)).to.deep.equal(['EX', 'NL>EX']);
      expect((await a.blockingAst()).level).to.equal(EX);
      await a.unlock();
      expect(await b.lockAst()).to.include({ status: 0, flags: DLM_SBF.DEMOTED });
      expect(await b.look()).to.include({ status: 0, flags: DLM_SBF.DEMOTED, lvbValid: true });
      await b.unlock();
    });

    it('sets no flag where there is no deadlock', async () => {
      await a.lock(r, PR);
      await b.lock(r, PR);
      await a.waitConvert(EX, CONVDEADLK);
      await b.unlock();
      expect(await a.lockAst()).to.include({ status: 0, flags: 0 });
      await a.unlock();
    });

    it('forgets the flag at the next conversion', async () => {
      await a.lock(r, PR);
      await b.lock(r, PR);
      await a.waitConvert(EX);
      await b.waitConvert(EX, CONVDEADLK);
      await a.lockAst();
      await a.unlock();
      expect((await b.lockAst()).flags).to.equal(DLM_SBF.DEMOTED);
      expect((await b.convert(PR)).flags).to.equal(0);
      await b.unlock();
    });

    it('leaves NL, and no flag tells of it, where the demoted conversion is cancelled', async () => {
      await a.lock(r, PR);
      await b.lock(r, PR);
      await c.lock(r, CR);
      await a.waitConvert(EX);
      await b.waitConvert(EX, CONVDEADLK);
      expect(modesOf(GROUP, r)).to.have.members(['CR', 'PR>EX', 'NL>EX']);
      await b.cancel();
      expect(await b.unlockAst()).to.include({ error: 0, of: 'cancel' });
      expect((await b.look()).flags).to.equal(0);
      expect(modesOf(GROUP, r)).to.have.members(['CR', 'PR>EX', 'NL']);
      await c.unlock();
      await a.lockAst();
      await a.unlock();
      await b.unlock();
    });

    it('does not go with a new lock, nor with NOQUEUE', async () => {
      expect(await a.ask(r, EX, CONVDEADLK)).to.equal(-EINVAL);
      await a.lock(r, PR);
      expect(await a.askConvert(EX, { flags: CONVDEADLK | NOQUEUE })).to.equal(-EINVAL);
      await a.unlock();
    });
  });

  describe('a conversion deadlock without CONVDEADLK', () => {
    it('is told to the one who stands in the way, and ends when either gives up', async () => {
      await a.lock(r, PR);
      await b.lock(r, PR);
      await a.waitConvert(EX);
      expect((await b.blockingAst()).level).to.equal(EX);
      await b.waitConvert(EX);
      expect(modesOf(GROUP, r)).to.deep.equal(['PR>EX', 'PR>EX']);
      expect(await b.cancel()).to.equal(0);
      expect(await b.unlockAst()).to.include({ error: 0, of: 'cancel' });
      expect((await b.convert(NL)).status).to.equal(0);
      expect((await a.lockAst()).status).to.equal(0);
      await a.unlock();
      await b.unlock();
    });
  });

  describe('NODLCKWT and NODLCKBLK', () => {
    it('are taken; the first is in every request, as in that of the kernel', async () => {
      await a.lock(r, NL);
      await b.lock(r, NL, NODLCKWT | NODLCKBLK);
      const flags = locksOf(GROUP, r).map((lock) => lock.flags);
      expect(flags).to.have.members([NODLCKWT, NODLCKWT | NODLCKBLK]);
      await a.unlock();
      await b.unlock();
    });
  });

  describe('EXPEDITE', () => {
    it('has NL granted although others wait', async () => {
      await a.lock(r, EX);
      await b.wait(r, EX);
      await c.wait(r, NL);
      expect((await d.lock(r, NL, EXPEDITE)).status).to.equal(0);
      expect(modesOf(GROUP, r)).to.have.members(['EX', 'NL', '>EX', '>NL']);
      await a.unlock();
      await b.lockAst();
      await c.lockAst();
      for (const owner of [b, c, d]) await owner.unlock();
    });

    it('is for new locks in NL that may wait', async () => {
      for (const mode of [CR, CW, PR, PW, EX] as const) {
        expect(await a.ask(r, mode, EXPEDITE)).to.equal(-EINVAL);
      }
      expect(await a.ask(r, NL, EXPEDITE | NOQUEUE)).to.equal(-EINVAL);
      await a.lock(r, CR);
      expect(await a.askConvert(NL, { flags: EXPEDITE })).to.equal(-EINVAL);
      await a.unlock();
    });
  });

  describe('HEADQUE', () => {
    it('puts a request before those that wait', async () => {
      await a.lock(r, EX);
      await b.wait(r, PW);
      await c.wait(r, EX, HEADQUE);
      expect(modesOf(GROUP, r)).to.deep.equal(['EX', '>EX', '>PW']);
      await a.unlock();
      await c.lockAst();
      expect(b.completions).to.deep.equal([]);
      await c.unlock();
      await b.lockAst();
      await b.unlock();
    });

    it('puts a conversion before those that wait', async () => {
      await a.lock(r, PR);
      await b.lock(r, NL);
      await c.lock(r, NL);
      await b.waitConvert(PW);
      await c.waitConvert(EX, HEADQUE);
      expect(modesOf(GROUP, r)).to.deep.equal(['PR', 'NL>EX', 'NL>PW']);
      await a.unlock();
      await c.lockAst();
      expect(b.completions).to.have.lengthOf(1);
      await c.unlock();
      await b.lockAst();
      await b.unlock();
    });

    it('is what it takes: without it they are served as they came', async () => {
      await a.lock(r, EX);
      await b.wait(r, PW);
      await c.wait(r, EX);
      expect(modesOf(GROUP, r)).to.deep.equal(['EX', '>PW', '>EX']);
      await a.unlock();
      await b.lockAst();
      await b.unlock();
      await c.lockAst();
      await c.unlock();
    });
  });

  describe('NOORDER', () => {
    it('has a request granted that fits what is held, although others wait', async () => {
      await a.lock(r, PR);
      await b.wait(r, EX);
      await c.wait(r, PR);
      expect((await d.lock(r, PR, NOORDER)).status).to.equal(0);
      expect(modesOf(GROUP, r)).to.deep.equal(['PR', 'PR', '>EX', '>PR']);
      await a.unlock();
      await d.unlock();
      await b.lockAst();
      await b.unlock();
      await c.lockAst();
      await c.unlock();
    });

    it('lets one that waits pass those before it as soon as it fits', async () => {
      await a.lock(r, EX);
      await b.wait(r, EX);
      await c.wait(r, PR, NOORDER);
      await a.convert(PR);
      expect((await c.lockAst()).status).to.equal(0);
      expect(b.completions).to.deep.equal([]);
      await a.unlock();
      await c.unlock();
      await b.lockAst();
      await b.unlock();
    });
  });

  for (const { flag, name, alternative, other } of [
    { flag: ALTPR, name: 'ALTPR', alternative: PR, other: CW },
    { flag: ALTCW, name: 'ALTCW', alternative: CW, other: PR },
  ]) {
    describe(name, () => {
      const modeName = name.slice(3);

      it('grants in the other mode where the wanted one must wait, and says so', async () => {
        await a.lock(r, alternative);
        expect(await b.lock(r, EX, flag)).to.include({ status: 0, flags: DLM_SBF.ALTMODE });
        expect(modesOf(GROUP, r)).to.deep.equal([modeName, modeName]);
        expect(await isBlockedFor(c, alternative)).to.equal(false);
        await a.unlock();
        await b.unlock();
      });

      it('grants what was wanted where it can', async () => {
        expect(await b.lock(r, EX, flag)).to.include({ status: 0, flags: 0 });
        expect(modesOf(GROUP, r)).to.deep.equal(['EX']);
        await b.unlock();
      });

      it('waits where neither can be granted, and takes what comes first', async () => {
        await a.lock(r, EX);
        await b.wait(r, EX, flag);
        await a.convert(alternative);
        expect(await b.lockAst()).to.include({ status: 0, flags: DLM_SBF.ALTMODE });
        await a.unlock();
        await b.unlock();
        await a.lock(r, other);
        await b.wait(r, EX, flag);
        await a.unlock();
        expect(await b.lockAst()).to.include({ status: 0, flags: 0 });
        expect(modesOf(GROUP, r)).to.deep.equal(['EX']);
        await b.unlock();
      });

      // fs/dlm forgets to tell the node whose lock it is, which goes on in the mode that it had wanted.
      it('is refused with a conversion, which the kernel gets wrong', async () => {
        await a.lock(r, alternative);
        await b.lock(r, NL);
        expect(await b.askConvert(EX, { flags: flag })).to.equal(-EINVAL);
        await a.unlock();
        await b.unlock();
      });

      it('goes with NOQUEUE', async () => {
        await a.lock(r, alternative);
        const granted = await b.lock(r, EX, flag | NOQUEUE);
        expect(granted).to.include({ status: 0, flags: DLM_SBF.ALTMODE });
        await b.unlock();
        await a.convert(other);
        expect((await b.lock(r, EX, flag | NOQUEUE)).status).to.equal(-EAGAIN);
        await a.unlock();
      });
    });
  }

  describe('ALTPR and ALTCW', () => {
    it('are refused together: two nodes may take the lock to be in different modes', async () => {
      for (const mode of [PR, EX] as const) {
        expect(await a.ask(r, mode, ALTPR | ALTCW)).to.equal(-EINVAL);
      }
    });
  });

  describe('FORCEUNLOCK', () => {
    it('gives up a lock that waits', async () => {
      await a.lock(r, EX);
      await b.wait(r, EX);
      expect(await b.askUnlock(0)).to.equal(-EBUSY);
      await b.unlock({ flags: FORCEUNLOCK });
      await b.sync(); // until the unlock's probe is given back
      expect(modesOf(GROUP, r)).to.deep.equal(['EX']);
      await a.unlock();
    });

    it('gives up a lock that converts', async () => {
      await a.lock(r, PR);
      await b.lock(r, PR);
      await b.waitConvert(EX);
      expect(await b.askUnlock(0)).to.equal(-EBUSY);
      await b.unlock({ flags: FORCEUNLOCK });
      expect(modesOf(GROUP, r)).to.deep.equal(['PR']);
      await a.unlock();
    });

    it('gives up a lock that is held', async () => {
      await a.lock(r, EX);
      await a.unlock({ flags: FORCEUNLOCK });
      expect(modesOf(GROUP, r)).to.deep.equal([]);
    });

    it('does not go with CANCEL', async () => {
      await a.lock(r, EX);
      await b.wait(r, EX);
      expect(await b.askUnlock(FORCEUNLOCK | DLM_LKF.CANCEL)).to.equal(-EINVAL);
      await b.unlock({ flags: FORCEUNLOCK });
      await a.unlock();
    });
  });

  describe('CANCEL', () => {
    it('ends a request that waits, and leaves no lock', async () => {
      await a.lock(r, EX);
      await b.wait(r, EX);
      expect(await b.cancel()).to.equal(0);
      expect(await b.unlockAst()).to.include({ error: 0, of: 'cancel' });
      await b.sync(); // until the cancel's probe is given back
      expect(modesOf(GROUP, r)).to.deep.equal(['EX']);
      await a.unlock();
    });

    it('ends a conversion that waits, and leaves its mode', async () => {
      await a.lock(r, PR);
      await b.lock(r, PR);
      await b.waitConvert(EX);
      expect(await b.cancel()).to.equal(0);
      expect(await b.unlockAst()).to.include({ error: 0, of: 'cancel' });
      expect(modesOf(GROUP, r)).to.deep.equal(['PR', 'PR']);
      await a.unlock();
      await b.unlock();
    });

    it('lets in those who waited behind it', async () => {
      await a.lock(r, PR);
      await b.wait(r, EX);
      await c.wait(r, PR);
      await b.cancel();
      await b.unlockAst();
      expect((await c.lockAst()).status).to.equal(0);
      await a.unlock();
      await c.unlock();
    });

    it('is no flag of a request', async () => {
      expect(await a.ask(r, EX, DLM_LKF.CANCEL)).to.equal(-EINVAL);
    });
  });

  describe('PERSISTENT', () => {
    for (const { ending, title } of [
      { ending: 'exit', title: 'exits' },
      { ending: 'wait', title: 'is killed' },
      { ending: 'disconnect', title: 'disconnects' },
    ]) {
      it(`keeps the lock of a process that ${title}, until it is adopted`, async () => {
        await hold(ending, PERSISTENT);
        expect(await isBlockedFor(a, CR)).to.equal(true);
        expect(modesOf(GROUP, r)).to.deep.equal(['EX']);
        expect((await b.lock(r, EX, ORPHAN)).status).to.equal(0);
        await b.unlock();
        expect(await isBlockedFor(a, EX)).to.equal(false);
      });
    }

    it('is what it takes: without it the lock goes with the process', async () => {
      await hold('exit', 0);
      expect(await isBlockedFor(a, EX)).to.equal(false);
    });

    it('is lost with a conversion that does not say it again', async () => {
      await d.lock(r, EX, PERSISTENT);
      expect((await d.convert(PW)).status).to.equal(0);
      await d.disconnect();
      await d.connect(GROUP);
      expect(modesOf(GROUP, r)).to.deep.equal([]);
      await d.lock(r, EX);
      expect((await d.convert(PW, { flags: PERSISTENT })).status).to.equal(0);
      await d.disconnect();
      await d.connect(GROUP);
      expect(modesOf(GROUP, r)).to.deep.equal(['PW']);
      expect((await d.lock(r, PW, ORPHAN)).status).to.equal(0);
      await d.unlock();
    });

    it('does not outlive the unlock', async () => {
      await a.lock(r, EX, PERSISTENT);
      await a.unlock();
      expect(modesOf(GROUP, r)).to.deep.equal([]);
    });
  });

  describe('ORPHAN', () => {
    it('gives the lock of a process that is gone to who asks for it', async () => {
      await hold('exit', PERSISTENT);
      const [orphan] = locksOf(GROUP, r);
      expect((await b.lock(r, EX, ORPHAN)).status).to.equal(0);
      const [adopted, ...more] = locksOf(GROUP, r);
      expect(more).to.deep.equal([]);
      expect(adopted?.id).to.equal(orphan?.id);
      // It is held like any other lock: others are kept out, and are told to us.
      await a.wait(r, PR);
      expect((await b.blockingAst()).level).to.equal(PR);
      expect((await b.convert(PR)).status).to.equal(0);
      expect((await a.lockAst()).status).to.equal(0);
      await a.unlock();
      await b.unlock();
    });

    it('gives it to one only', async () => {
      await hold('exit', PERSISTENT);
      expect((await b.lock(r, EX, ORPHAN)).status).to.equal(0);
      expect((await c.lock(r, EX, ORPHAN)).status).to.equal(-ENOENT);
      await b.unlock();
    });

    it('fails with EAGAIN where the orphan has another mode', async () => {
      await hold('exit', PERSISTENT);
      expect((await b.lock(r, PR, ORPHAN)).status).to.equal(-EAGAIN);
      expect(modesOf(GROUP, r)).to.deep.equal(['EX']);
      expect((await b.lock(r, EX, ORPHAN)).status).to.equal(0);
      await b.unlock();
    });

    it('fails with ENOENT where there is no orphan, or only a lock of one who lives', async () => {
      expect((await b.lock(r, EX, ORPHAN)).status).to.equal(-ENOENT);
      await a.lock(r, EX, PERSISTENT);
      expect((await b.lock(r, EX, ORPHAN)).status).to.equal(-ENOENT);
      await a.unlock();
    });

    for (const [title, firstFlags] of [
      ['without a block', PERSISTENT],
      ['with one', PERSISTENT | VALBLK],
    ] as const) {
      for (const adoptFlags of [ORPHAN, ORPHAN | VALBLK]) {
        const how = adoptFlags === ORPHAN ? 'without' : 'with';
        it(`of a lock taken ${title}, adopted ${how} VALBLK, writes at the unlock what it is told`, async () => {
          await c.lock(r, NL);
          for (const { flags, lvb, after } of [
            { flags: VALBLK, lvb: 'written', after: 'written' },
            { flags: 0, lvb: 'not to be written', after: 'written' },
          ]) {
            await hold('exit', firstFlags);
            expect((await b.lock(r, EX, adoptFlags)).status).to.equal(0);
            await b.unlock({ flags, lvb });
            expect(await a.lock(r, PR, VALBLK)).to.include({ lvb: after });
            await a.unlock();
          }
          await c.unlock();
        });
      }
    }

    it('keeps the lock only as long as the adopter says', async () => {
      await hold('exit', PERSISTENT);
      expect((await d.lock(r, EX, ORPHAN | PERSISTENT)).status).to.equal(0);
      await d.disconnect();
      await d.connect(GROUP);
      expect(modesOf(GROUP, r)).to.deep.equal(['EX']);
      expect((await d.lock(r, EX, ORPHAN)).status).to.equal(0);
      await d.disconnect();
      await d.connect(GROUP);
      expect(modesOf(GROUP, r)).to.deep.equal([]);
    });
  });

  describe('VALBLK', () => {
    it('reads at the lock and writes at the unlock', async () => {
      await c.lock(r, NL);
      await a.lock(r, EX);
      await a.unlock({ flags: VALBLK, lvb: 'written' });
      expect(await b.lock(r, PR, VALBLK)).to.include({ lvb: 'written', lvbValid: true });
      await b.unlock();
      await c.unlock();
    });

    it('is what it takes: without it a lock brings no block', async () => {
      await c.lock(r, NL);
      await a.lock(r, EX);
      await a.unlock({ flags: VALBLK, lvb: 'written' });
      expect(await b.lock(r, PR)).to.include({ lvb: '' });
      await b.unlock();
      await c.unlock();
    });
  });

  describe('IVVALBLK', () => {
    const VALNOTVALID = { flags: DLM_SBF.VALNOTVALID, lvbValid: false };

    /** c keeps the resource, whose block is "old". */
    async function setScene(): Promise<void> {
      await c.lock(r, NL);
      await a.lock(r, EX);
      await a.unlock({ flags: VALBLK, lvb: 'old' });
    }

    for (const [name, mode] of [
      ['PW', PW],
      ['EX', EX],
    ] as const) {
      it(`at the unlock from ${name} makes the block invalid for all readers`, async () => {
        await setScene();
        await a.lock(r, mode);
        await a.unlock({ flags: IVVALBLK });
        for (const reader of [a, b]) {
          expect(await reader.lock(r, PR, VALBLK)).to.include({ status: 0, ...VALNOTVALID });
          expect(await reader.look()).to.include(VALNOTVALID);
          await reader.unlock();
        }
        await c.unlock();
      });

      it(`at a conversion from ${name} to NL does the same`, async () => {
        await setScene();
        await a.lock(r, mode);
        expect((await a.convert(NL, { flags: IVVALBLK })).status).to.equal(0);
        expect(await b.lock(r, PR, VALBLK)).to.include({ status: 0, ...VALNOTVALID });
        await a.unlock();
        await b.unlock();
        await c.unlock();
      });
    }

    for (const [what, take] of [
      ['a request', () => a.lock(r, EX, IVVALBLK)],
      [
        'a conversion up',
        async () => {
          await a.lock(r, PW);
          return a.convert(EX, { flags: IVVALBLK });
        },
      ],
    ] as const) {
      it(`of ${what} is no word about the unlock`, async () => {
        await setScene();
        await take();
        await a.unlock();
        expect(await b.lock(r, PR, VALBLK)).to.include({ flags: 0, lvbValid: true, lvb: 'old' });
        await b.unlock();
        await take();
        await a.unlock({ flags: VALBLK, lvb: 'new' });
        expect(await b.lock(r, PR, VALBLK)).to.include({ flags: 0, lvbValid: true, lvb: 'new' });
        await b.unlock();
        await c.unlock();
      });
    }

    it('of a conversion down does not keep the unlock from writing', async () => {
      await setScene();
      await a.lock(r, EX, VALBLK);
      await a.convert(PW, { flags: IVVALBLK });
      await a.unlock({ flags: VALBLK, lvb: 'new' });
      expect(await b.lock(r, PR, VALBLK)).to.include({ flags: 0, lvbValid: true, lvb: 'new' });
      await b.unlock();
      await c.unlock();
    });

    it('is nothing to a lock below PW', async () => {
      await setScene();
      for (const mode of [NL, CR, CW, PR] as const) {
        await a.lock(r, mode);
        await a.unlock({ flags: IVVALBLK });
        expect(await b.lock(r, PR, VALBLK)).to.include({ flags: 0, lvbValid: true, lvb: 'old' });
        await b.unlock();
      }
      await c.unlock();
    });

    it('lasts until somebody writes the block', async () => {
      await setScene();
      await a.lock(r, EX);
      await a.unlock({ flags: IVVALBLK });
      expect(await b.lock(r, EX, VALBLK)).to.include(VALNOTVALID);
      await b.unlock({ flags: VALBLK, lvb: 'new' });
      expect(await a.lock(r, PR, VALBLK)).to.include({ flags: 0, lvbValid: true, lvb: 'new' });
      await a.unlock();
      await c.unlock();
    });

    it('is not told of a block that was never written', async () => {
      await c.lock(r, NL);
      await a.lock(r, EX);
      await a.unlock({ flags: IVVALBLK });
      expect(await b.lock(r, PR, VALBLK)).to.include({ flags: 0, lvbValid: true, lvb: '' });
      await b.unlock();
      await c.unlock();
    });
  });

  describe('a holder in PW or EX that is gone without an unlock', () => {
    for (const [name, mode] of [
      ['PW', PW],
      ['EX', EX],
    ] as const) {
      it(`leaves an invalid block, from ${name}`, async () => {
        await c.lock(r, NL);
        await a.lock(r, EX);
        await a.unlock({ flags: VALBLK, lvb: 'old' });
        await d.lock(r, mode, VALBLK);
        await d.disconnect();
        const read = await b.lock(r, PR, VALBLK);
        expect(read).to.include({ flags: DLM_SBF.VALNOTVALID, lvbValid: false });
        await b.unlock();
        await c.unlock();
        await d.connect(GROUP);
      });
    }

    it('leaves the block alone, from PR', async () => {
      await c.lock(r, NL);
      await a.lock(r, EX);
      await a.unlock({ flags: VALBLK, lvb: 'old' });
      await d.lock(r, PR, VALBLK);
      await d.disconnect();
      const read = await b.lock(r, PR, VALBLK);
      expect(read).to.include({ flags: 0, lvbValid: true, lvb: 'old' });
      await b.unlock();
      await c.unlock();
      await d.connect(GROUP);
    });
  });

  describe('TIMEOUT', () => {
    it('is refused with an error that says what to do, and nothing has happened', async () => {
      const refused = await a.ask(r, EX, TIMEOUT).catch((error: unknown) => error);
      expect(refused).to.include({ code: 'ERR_DLM_TIMEOUT_FLAG', errno: EINVAL });
      expect(modesOf(GROUP, r)).to.deep.equal([]);
      await a.lock(r, PR);
      const again = await a.askConvert(EX, { flags: TIMEOUT }).catch((error: unknown) => error);
      expect(again).to.include({ code: 'ERR_DLM_TIMEOUT_FLAG' });
      expect(modesOf(GROUP, r)).to.deep.equal(['PR']);
      await a.unlock();
    });
  });

  describe("a timeout of one's own, a timer and a cancel", () => {
    it('ends the wait', async () => {
      await a.lock(r, EX);
      await b.wait(r, EX);
      const cancelled = new Promise<number>((resolve) => {
        setTimeout(() => resolve(b.cancel()), 20);
      });
      expect(await b.completion()).to.include({ event: 'unlockAst', of: 'cancel', error: 0 });
      expect(await cancelled).to.equal(0);
      await a.unlock();
    });

    for (const what of ['request', 'conversion'] as const) {
      it(`races with the grant of a ${what}: one of the two, hundreds of times`, async function () {
        this.timeout(RACES_MS);
        const random = new Random();
        console.log(`      seed ${random.seed}`);
        const turns = async (count: number): Promise<void> => {
          for (let i = 0; i < count; i += 1) await new Promise(setImmediate);
        };
        /** What b is told when a unlocks and b cancels; one of them first, if the end is to be certain. */
        const play = async (certain?: 'lockAst' | 'unlockAst'): ReturnType<typeof b.completion> => {
          if (certain === 'lockAst') {
            const [end] = await Promise.all([b.completion(), a.unlock()]);
            await b.cancel();
            return end;
          }
          if (certain === 'unlockAst') {
            const [end] = await Promise.all([b.completion(), b.cancel()]);
            await a.unlock();
            return end;
          }
          // Who goes first, and by how many turns of the event loop.
          const lead = random.below(5) - 2;
          const [end] = await Promise.all([
            b.completion(),
            turns(Math.max(0, -lead)).then(() => a.unlock()),
            turns(Math.max(0, lead)).then(() => b.cancel()),
          ]);
          return end;
        };
        const raced = { granted: 0, cancelled: 0 };
        for (let round = 0; round < 200; round += 1) {
          node.begin(`${r}-${round}`);
          await a.lock(r, PR);
          if (what === 'conversion') await b.lock(r, NL);
          const before = b.completions.length;
          if (what === 'conversion') await b.waitConvert(EX);
          else await b.wait(r, EX);
          const certain = CERTAIN[round % ROUNDS_OF_ALL_KINDS];
          const end = await play(certain);
          if (certain !== undefined) expect(end.event).to.equal(certain);
          await b.sync(); // until the cancel's probe is given back
          if (end.event === 'lockAst') {
            expect(end.status).to.equal(0);
            expect(modesOf(GROUP, r)).to.deep.equal(['EX']);
            if (certain === undefined) raced.granted += 1;
          } else {
            expect(end).to.include({ of: 'cancel', error: 0 });
            expect(modesOf(GROUP, r)).to.deep.equal(what === 'request' ? [] : ['NL']);
            if (certain === undefined) raced.cancelled += 1;
          }
          expect(b.completions, 'completions of one operation').to.have.lengthOf(before + 1);
          if (end.event === 'lockAst' || what === 'conversion') await b.unlock();
        }
        console.log(`      ${JSON.stringify(raced)}`);
      });
    }
  });

  it('knows no other flag of a request', async () => {
    await a.lock(r, EX);
    for (const flag of [CONVERT, NOQUEUE, PERSISTENT, ORPHAN, HEADQUE]) {
      expect(await a.askUnlock(flag), 'an unlock with a flag that is none of its own').to.equal(
        -EINVAL,
      );
    }
    await a.unlock();
  });
});

describe('where conversion deadlocks are detected', () => {
  const { node, owners } = makeOwners(['a', 'b', 'c'], { detectDeadlocks: true });
  const { a, b, c } = owners;

  before(async () => {
    for (const owner of Object.values(owners)) await owner.connect('detects');
  });
  after(() => node.leave());

  it('the second of two holders of PR that want EX is told, keeps PR, and is in the way until it gives that up', async () => {
    node.begin('deadlock');
    for (const owner of [a, b]) await owner.lock('r', PR);
    await a.waitConvert(EX);
    expect((await b.convert(EX)).status).to.equal(-EDEADLK);
    // What it has is a lock still: another reader goes with it, but no writer.
    expect(modesOf('detects', 'r')).to.have.members(['PR>EX', 'PR']);
    expect((await c.lock('r', EX, NOQUEUE)).status).to.equal(-EAGAIN);
    expect(a.completions, 'of the first').to.have.lengthOf(1);
    await b.unlock();
    expect((await a.lockAst()).status).to.equal(0);
    await a.unlock();
  });

  it('one that waits for a holder that does not convert is not told so', async () => {
    node.begin('no deadlock');
    for (const owner of [a, b]) await owner.lock('r', PR);
    await a.waitConvert(EX);
    await b.unlock();
    expect((await a.lockAst()).status).to.equal(0);
    await a.unlock();
  });
});
