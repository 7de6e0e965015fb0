/** Stack `user` on one node, from inside: ends of processes, and what is left behind. */
import { expect } from 'chai';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import {
  DLM_LKF,
  DLM_LOCK,
  DlmLksb,
  StackGlue,
  stackConnectionOf,
  type ClusterConnection,
} from '../../lib/glue.js';
import {
  collected,
  countDescriptors,
  countSharedMappings,
  countThreads,
  lockspaceThreadsGone,
} from '../support/handles.js';
import { createTestPlugin } from '../support/user-plugin.js';

const { EX } = DLM_LOCK;

/** A connection whose completions are awaited one at a time. */
class Client {
  readonly glue = new StackGlue();
  connection!: ClusterConnection;
  #completed: () => void = () => undefined;

  constructor() {
    this.glue.register(createTestPlugin());
    this.glue.clusterStack = 'pcmk';
    this.glue.setLockingProtocol({
      maxVersion: { major: 1, minor: 0 },
      lockAst: () => this.#completed(),
      blockingAst: () => undefined,
      unlockAst: () => this.#completed(),
    });
  }

  async connect(group: string): Promise<void> {
    this.connection = await this.glue.clusterConnect({
      stackName: 'pcmk',
      group,
      recoveryHandler: () => undefined,
    });
  }

  async lock(lksb: DlmLksb, name: string, flags = 0): Promise<number> {
    const completed = new Promise<void>((resolve) => (this.#completed = resolve));
    expect(this.glue.dlmLock(this.connection, EX, lksb, flags, name)).to.equal(0);
    await completed;
    return this.glue.dlmLockStatus(lksb);
  }

  async unlock(lksb: DlmLksb): Promise<void> {
    const completed = new Promise<void>((resolve) => (this.#completed = resolve));
    expect(this.glue.dlmUnlock(this.connection, lksb, 0)).to.equal(0);
    await completed;
  }

  disconnect(): Promise<void> {
    return this.glue.clusterDisconnect(this.connection);
  }
}

const GROUP = 'guest';
const PROGRAM = fileURLToPath(new URL('lock-user.js', import.meta.url));

/** Starts the program and resolves when it has its lock. */
async function startHolder(resource: string, ending: string): Promise<ChildProcess> {
  const child = spawn(process.execPath, [PROGRAM, GROUP, resource, ending], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  expect(line.toString()).to.equal('held\n');
  return child;
}

describe('a process that uses stack user', () => {
  const client = new Client();

  before(() => client.connect(GROUP));
  after(() => client.disconnect());

  for (const { ending, code, title } of [
    { ending: 'close', code: 0, title: 'ends by itself when everything is closed' },
    { ending: 'disconnect', code: 0, title: 'ends by itself when it disconnects with a lock held' },
    { ending: 'exit', code: 0, title: 'ends by process.exit with a lock held' },
    { ending: 'unref', code: 0, title: 'ends by itself with a lock held when it is unreferenced' },
    { ending: 'throw', code: 1, title: 'ends by an uncaught exception with a lock held' },
  ]) {
    it(title, async () => {
      const child = await startHolder(`end-${ending}`, ending);
      const [exitCode, signal] = (await once(child, 'exit')) as [number | null, string | null];
      expect({ exitCode, signal }).to.deep.equal({ exitCode: code, signal: null });
      const lksb = new DlmLksb();
      expect(await client.lock(lksb, `end-${ending}`, DLM_LKF.NOQUEUE)).to.equal(0);
      await client.unlock(lksb);
    });
  }

  it('gives its lock up when it is killed', async () => {
    const child = await startHolder('end-kill', 'wait');
    const lksb = new DlmLksb();
    const granted = client.lock(lksb, 'end-kill');
    child.kill('SIGKILL');
    expect(await granted).to.equal(0);
    await client.unlock(lksb);
  });
});

describe("a lockspace's name", () => {
  for (const { name, title } of [
    { name: 'x', title: 'can have 1 byte' },
    { name: 'n'.repeat(20), title: 'can have 20 bytes' },
    { name: 'n'.repeat(64), title: 'can have 64 bytes' },
    { name: 'Sperre-ä-鎖', title: 'need not be ASCII' },
  ]) {
    it(title, async () => {
      const client = new Client();
      await client.connect(name);
      const lksb = new DlmLksb();
      expect(await client.lock(lksb, 'r')).to.equal(0);
      await client.unlock(lksb);
      await client.disconnect();
    });
  }

  for (const { name, title } of [
    { name: '', title: 'cannot be empty' },
    { name: 'n'.repeat(65), title: 'cannot have 65 bytes' },
    { name: 'ä'.repeat(33), title: 'cannot have 66 bytes in 33 characters' },
    { name: 'a/b', title: 'cannot be a path' },
  ]) {
    it(title, async () => {
      const refused = await new Client().connect(name).then(
        () => undefined,
        (error: unknown) => error,
      );
      expect(refused).to.include({ code: 'ERR_DLM_GROUP_NAME' });
    });
  }
});

describe('connecting and disconnecting 50 times', () => {
  it('leaves no descriptor, thread or memory behind, and no lockspace', async () => {
    const objects: WeakRef<object>[] = [];
    const round = async (): Promise<void> => {
      const client = new Client();
      await client.connect('again');
      const { native } = stackConnectionOf(client.connection)?.private as { native: object };
      const lksb = new DlmLksb();
      expect(await client.lock(lksb, 'r', DLM_LKF.VALBLK)).to.equal(0);
      await client.unlock(lksb);
      await client.disconnect();
      for (const each of [client, client.connection, native, lksb]) objects.push(new WeakRef(each));
    };
    /** What this process has when nobody is connected. */
    const holdings = async (): Promise<object> => {
      await lockspaceThreadsGone();
      await collected(objects);
      return {
        descriptors: countDescriptors(),
        threads: countThreads(),
        mappings: countSharedMappings(),
      };
    };
    // libdlm keeps its control device open for good, and Node starts what it needs once.
    for (let i = 0; i < 5; i += 1) await round();
    const before = await holdings();
    for (let i = 0; i < 15; i += 1) await round();
    expect(await holdings()).to.deep.equal(before);
    expect(readFileSync('/proc/misc', 'utf8')).not.to.include('dlm_again');
  });
});
