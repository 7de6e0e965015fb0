/**
 * The order of what is told on the emulations, and the end of what is under way when a simulated node dies:
 * the rules that native/README.md numbers, as a program meets them.
 */
import { expect } from 'chai';
import { randomUUID } from 'node:crypto';
import { constants } from 'node:os';

import {
  createEmulatedUserPlugin,
  createO2cbPlugin,
  DLM_LKF,
  DLM_LOCK,
  DlmLksb,
  killEmulatedUserNode,
  killO2cbNode,
  StackGlue,
  type ClusterConnection,
} from '../../lib/glue.js';
import { Random } from '../support/random.js';

const { EX, NL } = DLM_LOCK;
const { CANCEL, CONVERT } = DLM_LKF;
const { ENOTCONN } = constants.errno;
const GROUP = 'order';

/** What a request is told by. */
type Asked = [name: string, lksb: DlmLksb];

const STACKS = {
  pcmk: { plugin: createEmulatedUserPlugin, kill: killEmulatedUserNode },
  o2cb: { plugin: createO2cbPlugin, kill: killO2cbNode },
} as const;

for (const [stack, { plugin, kill }] of Object.entries(STACKS)) {
  describe(`the order on the emulation of ${stack}`, () => {
    let cluster: string;
    let open: [StackGlue, ClusterConnection][];

    beforeEach(() => {
      cluster = randomUUID();
      open = [];
    });
    afterEach(async () => {
      for (const [glue, connection] of open) await glue.clusterDisconnect(connection);
    });

    /** A node that has connected, and tells `say` what it hears; locks are called by what they are given. */
    async function connect(
      node: number,
      say: (text: string) => void,
    ): Promise<[StackGlue, ClusterConnection]> {
      const glue = new StackGlue();
      glue.register(plugin({ node, cluster }));
      glue.clusterStack = stack;
      glue.setLockingProtocol({
        maxVersion: { major: 1, minor: 0 },
        lockAst: (asked) => {
          const [name, lksb] = asked as Asked;
          say(`lock ${name} ${glue.dlmLockStatus(lksb)}`);
        },
        blockingAst: (asked) => say(`blocking ${(asked as Asked)[0]}`),
        unlockAst: (asked, error) => say(`unlock ${(asked as Asked)[0]} ${error}`),
      });
      const connection = await glue.clusterConnect({
        stackName: stack,
        group: GROUP,
        recoveryHandler: (dead) => say(`down ${dead}`),
        noticeHandler: (notice) =>
          say('node' in notice ? `${notice.kind} ${notice.node}` : notice.kind),
      });
      open.push([glue, connection]);
      return [glue, connection];
    }
    const quiet = (): void => undefined;

    it('ends what is under way with -ENOTCONN, once and in order, when the own node dies', async () => {
      const said: string[] = [];
      let wake = quiet;
      const [glue, connection] = await connect(1, (text) => {
        said.push(text);
        wake();
      });
      const says = async (text: string): Promise<void> => {
        while (!said.includes(text)) await new Promise<void>((resolve) => (wake = resolve));
      };
      const [otherGlue, other] = await connect(2, quiet);
      const locks = new Map<string, DlmLksb>();
      const ask = (name: string, flags = 0, lksb = new DlmLksb(), mode: 0 | 5 = EX): void => {
        locks.set(name, lksb);
        const resource = name.replace(/\d/, '');
        expect(
          glue.dlmLock(connection, mode, lksb, flags, resource, [name, lksb] satisfies Asked),
        ).to.equal(0);
      };
      ask('held');
      await says('lock held 0');
      ask('other1', 0, new DlmLksb(), NL);
      await says('lock other1 0');
      let take = quiet;
      const isTaken = new Promise<void>((resolve) => (take = resolve));
      const [thirdGlue, third] = await connect(2, () => {
        take();
      });
      const taken = new DlmLksb();
      thirdGlue.dlmLock(third, EX, taken, 0, 'other', ['taken', taken] satisfies Asked);
      await isTaken;
      ask('other2');
      ask('other1', CONVERT, locks.get('other1'));
      ask('other3');
      await new Promise(setImmediate);
      said.length = 0;
      kill(1, cluster);
      await says(`lock other3 ${-ENOTCONN}`);
      await new Promise(setImmediate);
      expect(said).to.deep.equal([
        ...['2', '1', '3'].map((n) => `lock other${n} ${-ENOTCONN}`),
        'killed',
      ]);
      expect(glue.clusterMembers(connection)).to.deep.equal([]);
      const held = locks.get('held')!;
      const ended = locks.get('other2')!;
      for (const refused of [
        () => glue.dlmLock(connection, NL, new DlmLksb(), 0, 'new'),
        () => glue.dlmLock(connection, NL, ended, 0, 'again'),
        () => glue.dlmLock(connection, NL, held, CONVERT, ''),
        () => glue.dlmUnlock(connection, held, 0),
        () => glue.dlmUnlock(connection, held, CANCEL),
        () => glue.dlmUnlock(connection, ended, CANCEL),
      ]) {
        expect(refused(), refused.toString()).to.equal(-ENOTCONN);
      }
      expect(otherGlue.clusterMembers(other).map(({ node }) => node)).to.deep.equal([2]);
    });

    it('tells a death before the next life, and before the grants that it led to', async () => {
      const random = new Random();
      console.log(`      seed ${random.seed}`);
      const said: string[] = [];
      const [glue, connection] = await connect(1, (text) => {
        said.push(text);
      });
      const expected: string[] = [];
      let grants = 0;
      for (let life = 0; life < 50; life += 1) {
        const [otherGlue, other] = await connect(2, quiet);
        expected.push('memberJoined 2');
        const name = `r${life}`;
        const theirs = new DlmLksb();
        const ours = new DlmLksb();
        let isGranted = false;
        otherGlue.dlmLock(other, EX, theirs, 0, name, ['theirs', theirs] satisfies Asked);
        while (!isGranted) {
          await new Promise(setImmediate);
          isGranted = otherGlue.dlmLockStatus(theirs) === 0;
        }
        await new Promise(setImmediate);
        expect(glue.dlmLock(connection, EX, ours, 0, name, [name, ours] satisfies Asked)).to.equal(
          0,
        );
        kill(2, cluster);
        expected.push('down 2', `lock ${name} 0`);
        grants += 1;
        // Or the next life begins before this one's end has been told.
        if (random.chance(0.5)) continue;
        while (said.filter((text) => text.startsWith('lock')).length < grants) {
          await new Promise(setImmediate);
        }
      }
      while (said.filter((text) => text.startsWith('lock')).length < grants) {
        await new Promise(setImmediate);
      }
      const nodes = said.filter((text) => !text.startsWith('lock'));
      expect(nodes).to.deep.equal(expected.filter((text) => !text.startsWith('lock')));
      for (let life = 0; life < 50; life += 1) {
        const deaths = said
          .slice(0, said.indexOf(`lock r${life} 0`))
          .filter((text) => text === 'down 2');
        expect(deaths.length, `deaths before the grant of life ${life}`).to.be.at.least(life + 1);
      }
    });
  });
}
