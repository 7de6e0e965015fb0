/**
 * Fencing tokens on real nodes: a service that is stopped in the midst of its work, others that have its lock by
 * then, and a store that refuses what it writes when it goes on. Then kills, of which `npm run kills` does more.
 */
import { expect } from 'chai';

import { StaleTokenError, TokenStore } from '../../../scripts/examples/token-store.js';
import { GuestService } from '../../../scripts/kills/guest-service.js';
import { describeOutcome, runKills } from '../../../scripts/kills/kills.js';
import { Random } from '../../support/random.js';
import {
  keepDlmRunning,
  type Kernel,
  TEST_TIMEOUT_MS,
  useCluster,
} from '../../support/vm-world.js';
import { untilThreads } from '../../support/whereabouts.js';

const VOLUME = 'volume-7';
const GROUP = 'late-writes';
const KILLS = 5;

/** The token of a grant, by what the service says of it. */
function tokenOf(line: string): bigint {
  const [name, token = ''] = line.split(' ');
  expect(name, line).to.equal(VOLUME);
  return BigInt(token);
}

export function tokens(kernel: Kernel): void {
  describe(`fencing tokens on three nodes with ${kernel}`, function () {
    this.timeout(TEST_TIMEOUT_MS);
    const getCluster = useCluster({ nodes: 3, membership: 'host', kernel });
    const store = new TokenStore();
    let first: GuestService;
    let second: GuestService;

    before(async () => {
      await keepDlmRunning(getCluster());
      first = await GuestService.start(getCluster().node(1), GROUP, 'thread');
      second = await GuestService.start(getCluster().node(2), GROUP, 'thread');
    });

    /** The first one takes the lock, and stops where it has looked that it holds it. Resolves to its token. */
    async function stopBeforeWriting(): Promise<bigint> {
      const token = tokenOf(await first.ask(`take ${VOLUME}`));
      store.write(VOLUME, token, 'early');
      const pid = Number(await first.ask('pid'));
      expect(await first.ask(`late ${VOLUME}`)).to.equal('held');
      await untilThreads(getCluster().node(1), pid, (threads) =>
        threads.every(({ state }) => state === 'T'),
      );
      return token;
    }

    /** Another one waits for the lock, and gets it when `work` has been done. It writes. */
    async function takeOver(
      next: GuestService,
      token: bigint,
      work: () => Promise<void>,
    ): Promise<void> {
      next.say(`take ${VOLUME}`);
      await work();
      const newer = tokenOf(await next.hear());
      expect(newer > token, `${newer} above ${token}`).to.equal(true);
      expect(store.read(VOLUME, newer)).to.equal('early');
      store.write(VOLUME, newer, 'newer');
    }

    /** The first one goes on where it was, and writes. */
    async function writeLate(token: bigint): Promise<void> {
      first.kill('SIGCONT');
      expect(await first.hear()).to.equal(`late ${token}`);
      expect(() => store.write(VOLUME, token, 'late')).to.throw(StaleTokenError);
      expect(store.read(VOLUME, store.highestToken)).to.equal('newer');
    }

    it('a write that is under way when its service is killed is refused, if another of its node has the lock', async () => {
      const killed = await GuestService.start(getCluster().node(1), GROUP, 'keeper');
      const token = tokenOf(await killed.ask(`take ${VOLUME}`));
      store.write(VOLUME, token, 'early');
      await takeOver(first, token, async () => {
        killed.kill('SIGKILL');
        await killed.rest();
      });
      expect(() => store.write(VOLUME, token, 'late')).to.throw(StaleTokenError);
      expect(store.read(VOLUME, store.highestToken)).to.equal('newer');
      await first.ask(`release ${VOLUME}`);
    });

    it('the late write of a stopped service is refused whose node was cut off, and taken for dead', async () => {
      const token = await stopBeforeWriting();
      await takeOver(second, token, async () => {
        await getCluster().isolate(1);
        await getCluster().evict(1);
      });
      await writeLate(token);
      await second.ask(`release ${VOLUME}`);
      await second.end();
      await getCluster().heal();
      await getCluster().restart(1);
    });

    it(`tokens grow, and fresh values are right, over ${KILLS} kills of nodes and processes`, async () => {
      const { seed } = new Random();
      console.log(`      seed ${seed}; npm run kills -- --kills 250 does more`);
      const outcome = await runKills({
        cluster: getCluster(),
        kills: KILLS,
        seed,
        say: (line) => console.log(`      ${line}`),
      });
      console.log(`      ${describeOutcome(outcome)}`);
      expect(outcome.nodes + outcome.processes).to.equal(KILLS);
      expect(outcome.seen.fresh).to.be.above(0);
    });
  });
}
