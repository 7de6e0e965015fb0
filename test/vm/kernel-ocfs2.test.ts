/**
 * The kernel's own stack glue with its stack `user` (fs/ocfs2/stack_user.c), reached through dlmfs,
 * beside ours: what the two put on the wire for the protocol, and why they cannot share a lockspace.
 */
import { expect } from 'chai';
import { constants } from 'node:os';

import type { NodeDriver } from '../../lib/conformance/index.js';
import { DLM_LOCK } from '../../lib/glue.js';
import type { GuestNode } from '../../scripts/vm/index.js';
import { startAgent, TEST_TIMEOUT_MS, useCluster } from '../support/vm-world.js';

const { errno } = constants;
const { EX, PR } = DLM_LOCK;

/** The version lock as the kernel's debugfs shows it: the block's bytes, and its locks' modes. */
async function versionLock(
  node: GuestNode,
  lockspace: string,
): Promise<{ block: string; modes: number[] }> {
  const { stdout } = await node.exec(`cat /sys/kernel/debug/dlm/${lockspace}_all`);
  const resource = stdout.split(/^(?=rsb )/m).find((part) => part.includes(' str version_lock'));
  const block = /^lvb \d+ \d+ (.*)$/m.exec(resource ?? '')?.[1]?.trim() ?? '';
  // lkb: id, nodeid, remote id, owner, xid, exflags, flags, status, granted mode, ...
  const modes = [...(resource ?? '').matchAll(/^lkb (?:\S+ ){8}(\d)/gm)].map((lkb) =>
    Number(lkb[1]),
  );
  return { block, modes };
}

describe("ocfs2's own user stack in the kernel, and ours", function () {
  this.timeout(TEST_TIMEOUT_MS);
  const getCluster = useCluster({ nodes: 2, membership: 'host' });
  let kernel: GuestNode;
  let ours: GuestNode;
  let agent: NodeDriver;
  let neighbour: NodeDriver;

  before(async () => {
    kernel = getCluster().node(1);
    ours = getCluster().node(2);
    await kernel.exec(
      'modprobe -a ocfs2_stack_user ocfs2_dlmfs && echo pcmk > /sys/fs/ocfs2/cluster_stack && ' +
        'mkdir -p /dlm && mount -t ocfs2_dlmfs none /dlm',
    );
    agent = await startAgent(getCluster(), 2);
    neighbour = await startAgent(getCluster(), 1);
  });

  it('negotiate with the same lock, in the same mode, with the same bytes', async () => {
    const { stdout } = await kernel.exec('cat /sys/fs/ocfs2/max_locking_protocol');
    const [major = 0, minor = 0] = stdout.trim().split('.').map(Number);
    await kernel.exec('mkdir /dlm/kernels');
    expect(await agent.connect('pcmk', 'ours', [major, minor])).to.deep.equal([major, minor]);

    const theirs = await versionLock(kernel, 'kernels');
    const mine = await versionLock(ours, 'ours');
    expect(theirs.modes).to.deep.equal([PR]);
    expect(mine.modes).to.deep.equal([PR]);
    expect(mine.block).to.match(/^01 00( 00){30}$/);
    expect(theirs.block.startsWith(mine.block)).to.equal(true);
    await agent.disconnect();
    await kernel.exec('rmdir /dlm/kernels');
  });

  it("keep out of each other's lockspaces when the kernel was first", async () => {
    await kernel.exec('mkdir /dlm/first');
    // Its value blocks have 64 bytes, those of user space 32, and fs/dlm compares.
    for (const [node, number] of [
      [agent, errno.EPROTO],
      [neighbour, errno.EPERM],
    ] as const) {
      const refused = await node.connect('pcmk', 'first').then(
        () => undefined,
        (error: unknown) => error,
      );
      expect(refused).to.include({ code: 'ERR_DLM_FOREIGN_LOCKSPACE', errno: number });
    }
    await kernel.exec('echo used > /dlm/first/lock && rm /dlm/first/lock && rmdir /dlm/first');
  });

  it("keep out of each other's lockspaces when ours was first", async () => {
    await agent.connect('pcmk', 'second');
    const { code, stderr } = await kernel.run('mkdir /dlm/second');
    expect({ code, stderr }).to.deep.include({ code: 1 });
    expect(stderr).to.include('Protocol error');
    expect((await agent.lock('l', 'r', EX)).status).to.equal(0);
    await agent.unlock('l');
    await agent.disconnect();
  });
});
