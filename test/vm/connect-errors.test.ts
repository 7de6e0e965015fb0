/** What a program is told on hosts that lack a part of the cluster, one after the other. */
import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';

import type { UserStackOptions } from '../../lib/glue.js';
import type { GuestNode } from '../../scripts/vm/index.js';
import { TEST_TIMEOUT_MS, useCluster } from '../support/vm-world.js';

const { errno } = constants;
const PROGRAM = 'dist/test/support/connect-once.js';
const NOBODY = 65534;
/** Not among Node's constants. */
const EUNATCH = 49;

interface Attempt {
  group: string;
  uid?: number;
  options?: UserStackOptions;
}

interface Outcome {
  node?: number;
  code?: string;
  errno?: number;
  message?: string;
  op?: string;
  resource?: string;
}

describe('connecting to stack user where something is missing', function () {
  this.timeout(TEST_TIMEOUT_MS);

  describe('on this host', () => {
    const attempt = (what: Attempt): Outcome =>
      JSON.parse(
        execFileSync(process.execPath, [PROGRAM, JSON.stringify(what)], {
          cwd: fileURLToPath(new URL('../../..', import.meta.url)),
        }).toString(),
      ) as Outcome;

    it('names the package to install when there is no libdlm', () => {
      const outcome = attempt({ group: 'g', options: { library: '/nonexistent/libdlm.so.3' } });
      expect(outcome).to.include({ code: 'ERR_DLM_NO_LIBRARY', op: 'connect', resource: 'g' });
      expect(outcome.message).to.include('libdlm3').and.to.include('/nonexistent/libdlm.so.3');
    });

    it('says which part of the DLM this host lacks first', function () {
      if (existsSync('/dev/misc/dlm-control')) {
        console.log('      skipped: this host has a DLM');
        this.skip();
      }
      const outcome = attempt({ group: 'g' });
      expect(outcome.code).to.be.oneOf(['ERR_DLM_NO_LIBRARY', 'ERR_DLM_NO_DLM']);
      expect(outcome.message).to.match(/install libdlm3|modprobe dlm/);
    });
  });

  describe('on a virtual machine that gains one part after the other', () => {
    const getCluster = useCluster({ nodes: 1, membership: 'none' });
    let node: GuestNode;
    const attempt = async (what: Attempt): Promise<Outcome> => {
      const { stdout } = await node.exec(`node ${PROGRAM} '${JSON.stringify(what)}'`);
      return JSON.parse(stdout) as Outcome;
    };

    before(() => {
      node = getCluster().node(1);
    });

    it('no library', async () => {
      const folder = '/usr/lib/x86_64-linux-gnu';
      await node.exec(`mkdir /tmp/away && mv ${folder}/libdlm* /tmp/away`);
      const outcome = await attempt({ group: 'g' });
      expect(outcome).to.include({ code: 'ERR_DLM_NO_LIBRARY' });
      await node.exec(`mv /tmp/away/* ${folder}`);
    });

    it('no module', async () => {
      await node.exec('rmmod dlm');
      const outcome = await attempt({ group: 'g' });
      expect(outcome).to.include({ code: 'ERR_DLM_NO_DLM' });
      expect(outcome.message).to.include('modprobe dlm');
    });

    it('no daemon', async () => {
      await node.exec('modprobe dlm');
      const outcome = await attempt({ group: 'g' });
      expect(outcome).to.include({ code: 'ERR_DLM_NO_DAEMON' });
      // The one before the daemon has told the kernel of its nodes, the other after it has gone.
      expect(outcome.errno).to.be.oneOf([errno.ENOTCONN, EUNATCH]);
      expect(outcome.message).to.include('dlm_controld');
    });

    it('no device node', async () => {
      await node.exec('mv /dev/dlm-control /dev/away');
      const outcome = await attempt({ group: 'g' });
      expect(outcome).to.include({ code: 'ERR_DLM_NO_DEVICE', errno: errno.ENOENT });
      expect(outcome.message).to.include('udev');
      await node.exec('mv /dev/away /dev/dlm-control');
    });

    it('no permission for the DLM', async () => {
      await node.exec('chmod 600 /dev/dlm-control');
      const outcome = await attempt({ group: 'g', uid: NOBODY });
      expect(outcome).to.include({ code: 'ERR_DLM_PERMISSION', errno: errno.EACCES });
      expect(outcome.message).to.include('CAP_SYS_ADMIN');
    });

    it('no permission to create a lockspace', async () => {
      await node.exec('chmod 666 /dev/dlm-control');
      const outcome = await attempt({ group: 'g', uid: NOBODY });
      expect(outcome).to.include({ code: 'ERR_DLM_PERMISSION', errno: errno.EPERM });
    });

    it('no lockspace of that name', async () => {
      const outcome = await attempt({ group: 'g', options: { create: false } });
      expect(outcome).to.include({ code: 'ERR_DLM_UNKNOWN_LOCKSPACE', errno: errno.ENOENT });
      expect(outcome.message).to.include('dlm_tool join g');
    });

    it("a name that cannot be a lockspace's", async () => {
      const outcome = await attempt({ group: '../g' });
      expect(outcome).to.include({ code: 'ERR_DLM_GROUP_NAME', errno: errno.EINVAL });
    });
  });

  describe('on a virtual machine with everything', () => {
    const getCluster = useCluster({ nodes: 1, membership: 'host' });

    it('lets a user without rights into a lockspace that somebody else has created', async () => {
      const node = getCluster().node(1);
      const run = async (what: Attempt): Promise<Outcome> => {
        const { stdout } = await node.exec(`node ${PROGRAM} '${JSON.stringify(what)}'`);
        return JSON.parse(stdout) as Outcome;
      };
      await node.exec('chmod 666 /dev/dlm-control && dlm_tool join shared');
      expect(await run({ group: 'shared', uid: NOBODY })).to.include({
        code: 'ERR_DLM_PERMISSION',
        errno: errno.EACCES,
      });
      await node.exec('chmod 666 /dev/dlm_shared');
      expect(await run({ group: 'shared', uid: NOBODY })).to.deep.equal({ node: 1 });
      // Whoever may create it takes a share in it, and leaves its permissions as they are.
      expect(await run({ group: 'shared' })).to.deep.equal({ node: 1 });
      expect((await node.exec('stat -c %a /dev/dlm_shared')).stdout.trim()).to.equal('666');
      await node.exec('dlm_tool leave shared');
    });
  });

  describe('on a virtual machine whose dlm_controld cannot join', () => {
    const getCluster = useCluster({ nodes: 1, membership: 'corosync' });

    it('tells of its refusal, and does not blame the rights of root', async () => {
      const node = getCluster().node(1);
      const run = async (what: Attempt): Promise<Outcome> => {
        const { stdout } = await node.exec(`node ${PROGRAM} '${JSON.stringify(what)}'`);
        return JSON.parse(stdout) as Outcome;
      };
      // corosync has a ring buffer for each client there.
      await node.run('dd if=/dev/zero of=/dev/shm/fill bs=64k');
      const refused = await run({ group: 'full' });
      expect(refused).to.include({ code: 'ERR_DLM_DAEMON_REFUSED', resource: 'full' });
      expect(refused.message).to.include('dlm_tool dump').and.not.include('CAP_SYS_ADMIN');
      expect(refused).not.to.have.property('errno');
      // Who has not the right to ask hears of that, as ever.
      await node.exec('chmod 666 /dev/dlm-control');
      expect(await run({ group: 'full', uid: NOBODY })).to.include({
        code: 'ERR_DLM_PERMISSION',
        errno: errno.EPERM,
      });
      await node.exec('rm /dev/shm/fill');
      expect(await run({ group: 'full' })).to.deep.equal({ node: 1 });
    });
  });
});
