/**
 * The prebuilt binaries for 64-bit ARM, on machines with that processor and the kernel's DLM. A guest of another
 * processor than the host's has no build of its own, and takes what the package brings along.
 */
import { expect } from 'chai';

import { stackConformance } from '../../lib/conformance/index.js';
import { createUserPlugin } from '../../lib/glue.js';
import { prebuild } from '../../scripts/prebuild/prebuild.js';
import { TARGETS } from '../../scripts/prebuild/targets.js';
import { describeInGuest } from '../../scripts/vm/guest-mocha.js';
import { isForeign, step } from '../../scripts/vm/index.js';
import { skipBecause } from '../support/skip.js';
import {
  createVmWorld,
  LINUX_ARM64,
  LineProcess,
  progress,
  requireVms,
  TEST_TIMEOUT_MS,
  useCluster,
} from '../support/vm-world.js';

const TARGET = 'linux-arm64';
const FOLDER = `/project/prebuilds/${TARGET}`;

describe('the prebuilt binaries on 64-bit ARM', function () {
  this.timeout(TEST_TIMEOUT_MS);

  before(async function () {
    await requireVms(this, LINUX_ARM64);
    if (!isForeign('arm64')) skipBecause(this, 'this host is one, and its guests take its build');
    const target = TARGETS.filter(({ name }) => name === TARGET);
    await step(progress, `Making the binaries for ${TARGET}`, () => prebuild(target));
  });
  const getCluster = useCluster({ nodes: 3, membership: 'host', kernel: LINUX_ARM64 });

  for (const submit of ['thread', 'keeper']) {
    it(`take a lock and its value from node to node, calls by the ${submit}`, async () => {
      const start = async (id: number): Promise<LineProcess> => {
        const command = `exec node dist/test/guest/lock-service.js by-${submit} ${submit}`;
        const service = new LineProcess(getCluster().node(id), command);
        expect(await service.line()).to.equal(`ready ${id}`);
        return service;
      };
      const [first, second] = [await start(1), await start(2)];
      expect(await first.ask('value one EX')).to.equal('granted');
      expect(await first.ask('see one')).to.equal('unwritten');
      expect(await second.ask('try one PR')).to.equal('busy');
      await first.ask('put one from-1');
      second.send('value one EX');
      expect(await first.ask('release one')).to.equal('released');
      expect(await second.line()).to.equal('granted');
      expect(await second.ask('see one')).to.equal('fresh from-1');
      await second.ask('put one from-2');
      expect(await second.ask('convert one PR')).to.equal('granted');
      expect(await first.ask('value one PR')).to.equal('granted');
      expect(await first.ask('see one')).to.equal('fresh from-2');

      const node = getCluster().node(1);
      expect((await node.exec('uname -m')).stdout).to.equal('aarch64\n');
      // Of the project's files, those that are mapped anywhere.
      const own = await node.exec("cat /proc/[0-9]*/maps | grep -o '/project/.*' | sort -u");
      expect(own.stdout).to.equal(`${FOLDER}/stackglue-keeper\n${FOLDER}/stackglue.node\n`);
      for (const service of [first, second]) {
        expect(await service.ask('release one')).to.equal('released');
        service.end();
        expect(await service.exit).to.equal(0);
      }
    });
  }

  const emulations = 'dist/test/cluster/emulation.test.js';
  describeInGuest('the emulations', () => getCluster().node(1), emulations);

  const ends = 'dist/test/guest/user-stack.spec.js';
  const env = { STACKGLUE_SUBMIT: 'keeper' };
  describeInGuest('stack user, calls by the keeper', () => getCluster().node(1), ends, { env });

  stackConformance({
    title: 'three nodes on stack user',
    stackName: 'pcmk',
    createNodes: () => createVmWorld(getCluster()),
    plugin: createUserPlugin(),
    canKill: true,
  });
});
