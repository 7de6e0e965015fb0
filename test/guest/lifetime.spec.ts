/**
 * Ends of processes and threads that use stack `user`, at every step of a lock's life, and what their
 * children inherit. Whatever ends, and however: its locks are free then, and the kernel has no complaint.
 */
import { expect } from 'chai';
import { execFile, fork, spawn } from 'node:child_process';
import cluster from 'node:cluster';
import { on, once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';

import { DLM_LKF, DLM_LOCK } from '../../lib/glue.js';
import {
  keepers,
  keepersGone,
  kernelComplaints,
  markedProcessesGone,
  markOf,
} from '../support/guest-host.js';
import {
  countDescriptors,
  countThreads,
  lockspaceThreadsGone,
  openFiles,
} from '../support/handles.js';
import { Random } from '../support/random.js';
import { UserClient } from '../support/user-client.js';

const GROUP = 'lifetime';
const { NOQUEUE } = DLM_LKF;

function programPath(name: string): string {
  return fileURLToPath(new URL(`${name}.js`, import.meta.url));
}

/** Takes EX without delay on each of these, and gives it up. */
async function expectFree(client: UserClient, ...resources: string[]): Promise<void> {
  for (const resource of resources) {
    const lock = client.ask(resource, DLM_LOCK.EX, NOQUEUE);
    expect(await lock.completed, `taking ${resource}`).to.equal(0);
    await client.unlock(lock);
  }
}

const STEPS = [
  'loading',
  'connecting',
  'connected',
  'lock in flight',
  'held',
  'blocked',
  'unlock in flight',
  'disconnecting',
];

const ENDINGS: readonly { ending: string; title: string; code: number | null; signal?: string }[] =
  [
    { ending: 'exit', title: 'process.exit', code: 7 },
    { ending: 'throw', title: 'an uncaught exception', code: 1 },
    { ending: 'worker', title: 'the termination of its worker thread', code: 0 },
    { ending: 'wait', title: 'SIGKILL', code: null, signal: 'SIGKILL' },
  ];

describe('a process that uses stack user', () => {
  const client = new UserClient();

  before(() => client.connect(GROUP));
  after(() => client.disconnect());

  for (const { ending, title, code, signal = null } of ENDINGS) {
    for (const step of STEPS) {
      it(`ends cleanly by ${title}: ${step}`, async () => {
        const resource = `${ending} ${step}`;
        const mark = `${process.pid}-${resource.replaceAll(' ', '-')}`;
        const before = keepers();
        const barrier = await client.lock(`${resource} barrier`);
        const child = spawn(
          process.execPath,
          [programPath('step-child'), GROUP, resource, step, ending],
          { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, ...markOf(mark) } },
        );
        const exit = once(child, 'close') as Promise<[number | null, string | null]>;
        let said = '';
        child.stderr.on('data', (text: Buffer) => (said += text.toString()));
        if (ending === 'wait' || ending === 'worker') {
          const [line] = (await once(child.stdout, 'data')) as [Buffer];
          expect(line.toString(), said).to.equal(`${step}\n`);
        }
        // The worker is gone, and its process is not.
        if (ending === 'worker') await expectFree(client, resource, `${resource} beside`);
        if (ending === 'wait') child.kill('SIGKILL');
        child.stdin.end();
        const [exitCode, exitSignal] = await exit;
        expect({ exitCode, exitSignal }, said).to.deep.equal({
          exitCode: code,
          exitSignal: signal,
        });
        await markedProcessesGone(mark);
        await keepersGone(before);
        await expectFree(client, resource, `${resource} beside`);
        await client.unlock(barrier);
        await expectFree(client, `${resource} barrier`);
        expect(kernelComplaints()).to.deep.equal([]);
      });
    }
  }
});

describe('worker threads', () => {
  it('can be terminated at any moment, several at once', async () => {
    const random = new Random();
    console.log(`      seed ${random.seed}`);
    const client = new UserClient();
    await client.connect(GROUP);
    const before = { descriptors: countDescriptors(), lockspaces: countThreads('dlm-lockspace') };
    for (let round = 0; round < 2; round += 1) {
      const resources = [0, 1, 2].map((i) => `worker ${round} ${i}`);
      const workers = resources.map(
        (own) =>
          new Worker(programPath('restless-worker'), {
            workerData: {
              ...{ group: GROUP, own, seed: random.below(2 ** 31) },
              ...{ steps: 1 + random.below(60), blocks: random.below(2) === 0 },
            },
          }),
      );
      // Rejects when a worker throws.
      await Promise.all(workers.map((worker) => once(worker, 'message')));
      await Promise.all(workers.map((worker) => worker.terminate()));
      await expectFree(client, ...resources, 'shared');
    }
    const after = { descriptors: countDescriptors(), lockspaces: countThreads('dlm-lockspace') };
    expect(after).to.deep.equal(before);
    await client.disconnect();
    expect(kernelComplaints()).to.deep.equal([]);
  });
});

describe('two connections to one lockspace in one process', () => {
  it('are two holders, and one outlives the other', async () => {
    const [first, second] = [new UserClient(), new UserClient()];
    for (const client of [first, second]) await client.connect(GROUP);
    const held = await first.lock('two');
    const kept = await second.lock('kept');
    const waiting = second.ask('two');
    await held.blocking;
    await first.unlock(held);
    expect(await waiting.completed).to.equal(0);

    first.ask('kept');
    await kept.blocking;
    await first.disconnect();
    // Its request went with it, and nothing of the other's did.
    await second.unlock(kept);
    await expectFree(second, 'kept');
    const third = new UserClient();
    await third.connect(GROUP);
    const next = third.ask('two');
    await waiting.blocking;
    await second.unlock(waiting);
    expect(await next.completed).to.equal(0);
    await second.disconnect();
    await third.disconnect();
    await lockspaceThreadsGone();
    expect(kernelComplaints()).to.deep.equal([]);
  });
});

/** What no child may inherit: the devices of the DLM, and watches of its members. */
const OURS = /dlm|inotify/;

describe('children of a process that uses stack user', () => {
  it('inherit no descriptor of a lockspace while it is open', async () => {
    const client = new UserClient();
    await client.connect(GROUP);
    expect(openFiles().filter((file) => OURS.test(file))).not.to.deep.equal([]);
    const { stdout } = await promisify(execFile)('ls', ['-l', '/proc/self/fd']);
    expect(stdout).to.include(' 0 -> ').and.not.to.match(OURS);
    await client.disconnect();
  });

  it('can each use stack user, by fork and as workers of cluster', async () => {
    const client = new UserClient();
    await client.connect(GROUP);
    cluster.setupPrimary({ exec: programPath('sharing-child'), args: [GROUP, 'turn'] });
    const children = [0, 1].flatMap(() => [
      fork(programPath('sharing-child'), [GROUP, 'turn']),
      cluster.fork().process,
    ]);
    let waiting = children.length;
    let allAsked!: () => void;
    const asked = new Promise<void>((resolve) => (allAsked = resolve));
    let holders = 0;
    let turns = 0;
    await Promise.all(
      children.map(async (child) => {
        const exit = once(child, 'exit');
        const messages = on(child, 'message');
        const next = async (): Promise<unknown> => ((await messages.next()).value as [unknown])[0];
        const files = (await next()) as string[];
        expect(files.filter((file) => OURS.test(file))).to.deep.equal([]);
        expect(await next()).to.equal('asked');
        waiting -= 1;
        if (waiting === 0) allAsked();
        expect(await next()).to.equal('held');
        holders += 1;
        turns += 1;
        // With all others waiting, whoever was let in beside this one would have said so.
        await asked;
        expect(holders, 'holders of EX at once').to.equal(1);
        holders -= 1;
        child.send('release');
        expect(await exit).to.deep.equal([0, null]);
      }),
    );
    expect(turns).to.equal(children.length);
    await expectFree(client, 'turn');
    await client.disconnect();
    expect(kernelComplaints()).to.deep.equal([]);
  });
});
