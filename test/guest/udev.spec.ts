/**
 * Stack `user` on a node whose devices are udev's, as on a host: a lockspace's device has its name in
 * `/dev/misc` some time after the kernel has made it, and its permissions are set by rules first.
 */
import { expect } from 'chai';
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { DLM_LKF, DLM_LOCK } from '../../lib/glue.js';
import {
  dlmDevices,
  dlmLinks,
  modeOfUdevDevice,
  udevadm,
  udevSettled,
} from '../support/devices.js';
import { nobodyLeft } from '../support/nobody-left.js';
import { UserClient, type UserLock } from '../support/user-client.js';

const { EX, NL, PR } = DLM_LOCK;
const { NOQUEUE, VALBLK } = DLM_LKF;

/** A user without any rights. */
const NOBODY = 65534;
const CONNECT_ONCE = fileURLToPath(new URL('../support/connect-once.js', import.meta.url));

/** A client that is connected to the group. */
async function connect(group: string, client = new UserClient()): Promise<UserClient> {
  await client.connect(group);
  return client;
}

/** What a user without rights is told who connects to the group, and disconnects. */
async function connectAsNobody(group: string): Promise<unknown> {
  const what = JSON.stringify({ group, uid: NOBODY });
  const { stdout } = await promisify(execFile)(process.execPath, [CONNECT_ONCE, what]);
  return JSON.parse(stdout);
}

/** The keeper of a lockspace, if it sleeps between two looks at something. */
function sleepingKeeper(group: string): number | undefined {
  const read = (path: string): string => {
    try {
      return readFileSync(path, 'utf8');
    } catch {
      return ''; // it has ended
    }
  };
  const tasks = (pid: string): string[] => {
    try {
      return readdirSync(`/proc/${pid}/task`);
    } catch {
      return [];
    }
  };
  const found = readdirSync('/proc').find(
    (pid) =>
      read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').startsWith(`stackglue-keeper ${group} `) &&
      tasks(pid).some((tid) => read(`/proc/${pid}/task/${tid}/stack`).includes('nanosleep')),
  );
  return found === undefined ? undefined : Number(found);
}

/** Takes a lock that nobody has, and gives it up. */
async function useLock(client: UserClient, name = 'r'): Promise<void> {
  await client.unlock(await client.lock(name, EX, NOQUEUE));
}

describe('where udev makes the devices', () => {
  let before: string[];
  beforeEach(async () => {
    await udevSettled();
    before = dlmLinks();
    expect(before).to.deep.equal([...dlmDevices().keys()].sort());
  });
  afterEach(async () => {
    await udevSettled();
    expect(dlmLinks(), 'links that the test has left').to.deep.equal(before);
    expect([...dlmDevices().keys()].sort(), 'devices that it has left').to.deep.equal(before);
  });

  it("everybody may use the DLM's own devices, as the rules of its package have it", () => {
    expect(modeOfUdevDevice('dlm-control')).to.equal(0o666);
    expect(modeOfUdevDevice('dlm-monitor')).to.equal(0o666);
    expect(modeOfUdevDevice('dlm_plock')).to.equal(0o660);
  });

  it('connections share locks and value blocks on a device with a link of udev', async () => {
    const [a, b] = [await connect('shared'), await connect('shared')];
    await udevSettled();
    expect(modeOfUdevDevice('dlm_shared')).to.equal(0o600);

    const keeper = await b.lock('r', NL); // without a lock its block goes
    const writer = await a.lock('r', EX);
    const reader = b.ask('r', PR, VALBLK);
    await writer.blocking;
    a.glue.dlmLvb(writer.lksb).set(Buffer.from('told'));
    await a.unlock(writer, VALBLK);
    expect(await reader.completed).to.equal(0);
    expect(Buffer.from(b.glue.dlmLvb(reader.lksb)).subarray(0, 5)).to.deep.equal(
      Buffer.from('told\0'),
    );
    for (const lock of [reader, keeper]) await b.unlock(lock);
    await a.disconnect();
    await b.disconnect();
  });

  for (const name of ['n'.repeat(15), 'n'.repeat(16), 'n'.repeat(20), 'n'.repeat(64)]) {
    it(`a lockspace's name of ${name.length} bytes is whole in its device's`, async () => {
      const client = await connect(name);
      await udevSettled();
      expect(modeOfUdevDevice(`dlm_${name}`)).to.equal(0o600);
      await useLock(client);
      await client.disconnect();
    });
  }

  it('lockspaces are told apart whose names differ only at their ends', async () => {
    const names = ['1', '2', '3'].map((end) => 'tenant-'.repeat(9) + end);
    const clients: UserClient[] = [];
    for (const name of names) clients.push(await connect(name));
    await udevSettled();
    for (const name of names) modeOfUdevDevice(`dlm_${name}`);
    const locks: [UserClient, UserLock][] = [];
    for (const client of clients) locks.push([client, await client.lock('r', EX, NOQUEUE)]);
    for (const [client, lock] of locks) await client.unlock(lock);
    for (const client of clients) await client.disconnect();
  });

  it('lockspaces come one after the other, and take the numbers of those that went', async () => {
    const numbers = new Set<number | undefined>();
    let last: UserClient | undefined;
    for (const name of ['one', 'two', 'three', 'one', 'two', 'three']) {
      const client = await connect(name);
      numbers.add(dlmDevices().get(`dlm_${name}`));
      await udevSettled();
      modeOfUdevDevice(`dlm_${name}`);
      await useLock(client);
      await last?.disconnect();
      last = client;
    }
    await last?.disconnect();
    expect(numbers.size).to.be.below(6);
  });

  it('a lockspace can come back before udev has heard that it went', async () => {
    const client = new UserClient();
    await connect('again', client);
    await udevSettled();
    await udevadm('control', '--stop-exec-queue');
    await client.disconnect();
    const again = client.connect('again');
    try {
      await nobodyLeft(() => (dlmDevices().has('dlm_again') ? [] : ['the time without a device']));
    } finally {
      await udevadm('control', '--start-exec-queue');
    }
    await again;
    await udevSettled();
    expect(modeOfUdevDevice('dlm_again')).to.equal(0o600);
    await useLock(client);
    await client.disconnect();
  });

  it('lockspaces are opened side by side, however long udev takes', async () => {
    const groups = ['side1', 'side2', 'side3'];
    await udevadm('control', '--stop-exec-queue');
    const opening = groups.map((group) => connect(group));
    // Whoever waits for a name stands still until there are names: libdlm waits no more than ten seconds.
    const standing: number[] = [];
    const waiting = new Set(groups);
    try {
      await nobodyLeft(() => {
        for (const group of waiting) {
          const keeper = dlmDevices().has(`dlm_${group}`) ? sleepingKeeper(group) : undefined;
          if (keeper === undefined) continue;
          process.kill(keeper, 'SIGSTOP');
          standing.push(keeper);
          waiting.delete(group);
        }
        return [...waiting];
      });
    } finally {
      await udevadm('control', '--start-exec-queue');
      await udevSettled();
      for (const keeper of standing) process.kill(keeper, 'SIGCONT');
    }
    for (const client of await Promise.all(opening)) await client.disconnect();
  });

  it('a lockspace is given up again whose device gets no name', async () => {
    await udevadm('control', '--stop-exec-queue');
    try {
      const error: unknown = await connect('nameless').then(
        () => undefined,
        (error: unknown) => error,
      );
      expect(error).to.include({ code: 'ERR_DLM_NO_DEVICE', errno: constants.errno.ENOENT });
      expect([...dlmDevices().keys()]).not.to.include('dlm_nameless');
    } finally {
      await udevadm('control', '--start-exec-queue');
    }
  });

  it('those who may not create a lockspace get in after its creator', async () => {
    const creator = await connect('created');
    const guest = await connect('created', new UserClient({ create: false }));
    const held = await creator.lock('r', EX);
    const wanted = guest.ask('r', PR);
    await held.blocking;
    await creator.unlock(held);
    expect(await wanted.completed).to.equal(0);
    await guest.unlock(wanted);
    await guest.disconnect();
    await creator.disconnect();
  });

  it('also while the name of its device is still to come', async () => {
    await udevadm('control', '--stop-exec-queue');
    // None of ours: if it gives up waiting for the name, the lockspace stays.
    const joining = promisify(execFile)('dlm_tool', ['join', 'early']).catch(() => undefined);
    let isSettled = false;
    let guest: Promise<UserClient> | undefined;
    try {
      await nobodyLeft(() => (dlmDevices().has('dlm_early') ? [] : ['the time without a device']));
      guest = connect('early', new UserClient({ create: false }));
      const settle = (): void => {
        isSettled = true;
      };
      guest.then(settle, settle);
      await nobodyLeft(() =>
        isSettled || sleepingKeeper('early') !== undefined ? [] : ['the first look'],
      );
      expect(isSettled, 'whether it has an answer before its device has a name').to.equal(false);
    } finally {
      await udevadm('control', '--start-exec-queue');
    }
    const client = await guest;
    await useLock(client);
    await client.disconnect();
    await joining;
    await promisify(execFile)('dlm_tool', ['leave', 'early']);
  });

  it('a lockspace keeps its permissions when somebody else takes a share in it', async () => {
    const creator = await connect('mode', new UserClient({ mode: 0o666 }));
    await udevSettled();
    expect(modeOfUdevDevice('dlm_mode')).to.equal(0o666);
    const other = await connect('mode');
    await udevSettled();
    expect(modeOfUdevDevice('dlm_mode')).to.equal(0o666);
    expect(await connectAsNobody('mode')).to.deep.equal({ node: 1 });
    await other.disconnect();
    await creator.disconnect();
  });

  it('a lockspace keeps its link when one of its creators goes', async () => {
    const [first, second] = [await connect('kept'), await connect('kept')];
    await first.disconnect();
    await udevSettled();
    expect(modeOfUdevDevice('dlm_kept')).to.equal(0o600);
    const guest = await connect('kept', new UserClient({ create: false }));
    await useLock(guest);
    await guest.disconnect();
    await second.disconnect();
  });

  it('users without rights get in where the mode lets them', async () => {
    const creator = await connect('open', new UserClient({ mode: 0o666 }));
    await udevSettled();
    expect(modeOfUdevDevice('dlm_open')).to.equal(0o666);
    expect(await connectAsNobody('open')).to.deep.equal({ node: 1 });
    await creator.disconnect();
  });

  it('and are refused where it does not', async () => {
    const creator = await connect('closed');
    await udevSettled();
    expect(await connectAsNobody('closed')).to.include({
      code: 'ERR_DLM_PERMISSION',
      errno: constants.errno.EACCES,
    });
    await creator.disconnect();
  });
});
