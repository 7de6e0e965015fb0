/**
 * What a node's departure is where its comms directory in configfs is still there, as it may be when a
 * node's dlm_controld alone has died: the survivor's daemon knows. A double of its library speaks here, and
 * the test changes the members as the daemon would.
 */
import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import type { NodeDriver } from '../../lib/conformance/index.js';
import { DLM_LOCK } from '../../lib/glue.js';
import { controlCommand, startAgent, TEST_TIMEOUT_MS, useCluster } from '../support/vm-world.js';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const FOLDER = 'build/test/dlmcontrol';
const GROUP = 'departure';
const { EX } = DLM_LOCK;

/** A failure that dlm_controld remembers: `REASON_PROCDOWN`, and when. */
const NOW = '5 999999999';
const IN_AN_EARLIER_LIFE = '5 1';

function buildDouble(): void {
  mkdirSync(join(ROOT, FOLDER), { recursive: true });
  const flags = ['-std=gnu11', '-Wall', '-Wextra', '-Werror', '-shared', '-fPIC'];
  const output = join(FOLDER, 'libdlmcontrol.so.3');
  execFileSync('gcc', [...flags, '-o', output, 'test/vm/dlmcontrol-double.c'], { cwd: ROOT });
}

describe('the departure of a node that the cluster still has', function () {
  this.timeout(TEST_TIMEOUT_MS);
  const getCluster = useCluster({ nodes: 4, membership: 'host', evictKilled: false });
  let survivor: NodeDriver;
  const others = new Map<number, NodeDriver>();

  before(async () => {
    buildDouble();
    survivor = await startAgent(getCluster(), 1, {
      environment: { LD_LIBRARY_PATH: `${getCluster().node(1).project}/${FOLDER}` },
    });
    for (const id of [2, 3, 4]) others.set(id, await startAgent(getCluster(), id));
    for (const agent of [survivor, ...others.values()]) await agent.connect('pcmk', GROUP);
    for (const id of others.keys()) await survivor.notice('memberJoined', { node: id });
  });

  /** The node has a lock that the survivor waits for; then it is gone. */
  async function depart(id: number): Promise<void> {
    survivor.begin(`departure of ${id}`);
    const holder = others.get(id)!;
    await holder.lock('held', `of ${id}`, EX);
    expect(await survivor.ask('waits', `of ${id}`, EX)).to.equal(0);
    await holder.blockingAst('held');
    others.delete(id);
    await getCluster().kill(id);
    const left = [1, ...others.keys()];
    const onAll = (command: string): Promise<unknown> =>
      Promise.all(left.map((node) => getCluster().node(node).exec(command)));
    const spaces = '/sys/kernel/config/dlm/cluster/spaces';
    await onAll(controlCommand(GROUP, 0));
    await onAll(`rmdir ${spaces}/${GROUP}/nodes/${id}`);
    await onAll(controlCommand(GROUP, 1));
  }

  /** What the survivor was told of it, in order: the kinds of events, without stops and starts. */
  async function told(): Promise<string[]> {
    expect((await survivor.lockAst('waits')).status).to.equal(0);
    const kinds = survivor.history.map((event) =>
      event.event === 'notice' ? event.notice.kind : event.event,
    );
    return kinds.filter((kind) => kind !== 'stopped' && kind !== 'resumed');
  }

  it('is a failure when dlm_controld says so, and is told before the grants', async () => {
    await getCluster().node(1).exec(`echo ${NOW} > /run/says-of-2`);
    await depart(2);
    expect((await survivor.nodeDown(2)).node).to.equal(2);
    expect(await told()).to.deep.equal(['nodeDown', 'lockAst']);
  });

  it('is an orderly leave when it is long ago that it failed', async () => {
    await getCluster().node(1).exec(`echo ${IN_AN_EARLIER_LIFE} > /run/says-of-3`);
    await depart(3);
    await survivor.notice('memberLeft', { node: 3 });
    expect(await told()).to.deep.equal(['memberLeft', 'lockAst']);
  });

  it('is an orderly leave when dlm_controld is asked and does not answer', async () => {
    await getCluster().node(1).exec('mkfifo /run/says-of-4');
    await depart(4);
    await survivor.notice('memberLeft', { node: 4 });
    expect(await told()).to.deep.equal(['memberLeft', 'lockAst']);
  });
});
