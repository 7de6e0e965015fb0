/** Our program and a C program linked with libdlm share locks and value blocks. */
import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import type { NodeDriver } from '../../lib/conformance/index.js';
import { DLM_LKF, DLM_LOCK } from '../../lib/glue.js';
import type { GuestProcess } from '../../scripts/vm/index.js';
import { startAgent, TEST_TIMEOUT_MS, useCluster } from '../support/vm-world.js';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const { NL, PR, EX } = DLM_LOCK;
const { VALBLK } = DLM_LKF;

/** `EUNLOCK` as libdlm reports it. */
const EUNLOCK = 0x10002;

function buildPeer(): string {
  mkdirSync(`${ROOT}/build/test`, { recursive: true });
  const output = 'build/test/dlm-peer';
  const flags = ['-std=gnu11', '-Wall', '-Wextra', '-Werror', '-O1', '-o', output];
  execFileSync('gcc', [...flags, 'test/vm/dlm-peer.c', '-ldlm_lt'], { cwd: ROOT });
  return output;
}

/** A line to the C program and the line that it answers. */
class Peer {
  readonly #process: GuestProcess;
  readonly #lines: AsyncIterableIterator<string>;

  constructor(process: GuestProcess) {
    this.#process = process;
    this.#lines = process.lines;
  }

  send(line: string): void {
    this.#process.stdin.write(`${line}\n`);
  }

  async answer(): Promise<string> {
    const next = await this.#lines.next();
    if (next.done === true) throw new Error(`the C program ended: ${this.#process.stderrText}`);
    return next.value;
  }

  ask(line: string): Promise<string> {
    this.send(line);
    return this.answer();
  }

  async end(): Promise<void> {
    this.#process.stdin.end();
    await this.#process.exit;
  }
}

describe('our program and a C program on libdlm, on two nodes', function () {
  this.timeout(TEST_TIMEOUT_MS);
  const lockspace = 'interop';
  const getCluster = useCluster({ nodes: 2, membership: 'host' });
  let program: string;
  let ours: NodeDriver;
  let peer: Peer;

  before(async () => {
    const cluster = getCluster();
    program = buildPeer();
    ours = await startAgent(cluster, 1);
    peer = new Peer(cluster.node(2).spawn(`exec ./${program}`));
    const created = peer.ask(`create ${lockspace}`);
    await ours.connect('pcmk', lockspace);
    expect(await created).to.equal('created');
  });

  it('passes a lock and its value block from ours to the C program', async () => {
    await ours.lock('l', 'to-c', EX, VALBLK);
    peer.send(`lock to-c ${EX}`);
    expect((await ours.blockingAst('l')).level).to.equal(EX);
    await ours.unlock('l', { flags: VALBLK, lvb: 'from-node' });
    expect(await peer.answer()).to.equal('granted 0 from-node');
    expect(await peer.ask('unlock')).to.equal(`unlocked ${EUNLOCK}`);
  });

  it('passes a lock and its value block from the C program to ours', async () => {
    expect(await peer.ask(`lock to-node ${EX}`)).to.equal('granted 0 -');
    expect(await ours.ask('m', 'to-node', PR, VALBLK)).to.equal(0);
    expect(await peer.ask('wait-bast')).to.equal('bast');
    expect(await peer.ask(`convert ${NL} from-c`)).to.equal('granted 0 from-c');
    expect(await ours.lockAst('m')).to.include({ status: 0, lvb: 'from-c', lvbValid: true });
    await ours.unlock('m');
    expect(await peer.ask('unlock')).to.equal(`unlocked ${EUNLOCK}`);
  });

  it('agrees on a version that nobody has written, whoever of two is first', async () => {
    const node = getCluster().node(2);
    const holder = new Peer(node.spawn(`exec ./${program}`));
    const near = await startAgent(getCluster(), 2);
    expect(await holder.ask('create unwritten')).to.equal('created');
    expect(await holder.ask(`lock version_lock ${EX}`)).to.equal('granted 0 -');
    const connected = [ours, near].map((agent) =>
      agent.connect('pcmk', 'unwritten', [1, 3], { on: 'unwritten' }),
    );
    const locks = 'grep version_lock /sys/kernel/debug/dlm/unwritten_locks';
    // Two have had the answer that somebody has it, and wait to read what that one writes.
    await node.exec(`until [ "$(${locks} | awk '$8 == 1' | wc -l)" = 2 ]; do usleep 20000; done`);
    // It leaves zeros. Both read that, both want to write, and only one of them can.
    expect(await holder.ask(`convert ${NL}`)).to.equal('granted 0 -');
    expect(await Promise.all(connected)).to.deep.equal([
      [1, 3],
      [1, 3],
    ]);
    expect(await holder.ask(`convert ${PR}`)).to.equal('granted 0 \u0001\u0003');
    await holder.end();
    for (const agent of [ours, near]) await agent.disconnect('unwritten');
  });

  it('leaves the lockspace when both have closed it', async () => {
    await ours.disconnect();
    await peer.end();
    const { stdout } = await getCluster().node(1).exec('cat /proc/misc');
    expect(stdout).not.to.include(`dlm_${lockspace}`);
  });
});
