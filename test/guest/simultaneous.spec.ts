/**
 * Connections to stack `user` that come and go at the same time, in one process and in several: they do
 * not get into each other's way, and nothing of theirs gets into children that are started meanwhile.
 */
import { expect } from 'chai';
import { exec, execFile, fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import {
  keepers,
  keepersAwaitTurn,
  keepersGone,
  keepersInKernel,
  kernelComplaints,
  processesOf,
} from '../support/guest-host.js';
import { UserClient } from '../support/user-client.js';

/** What no child may inherit: the devices of the DLM, and watches of its members. */
const OURS = /dlm|inotify/;

function programPath(name: string): string {
  return fileURLToPath(new URL(`${name}.js`, import.meta.url));
}

/** The kernel's list of devices is whole: each line is a number and a name. */
function checkDevices(): void {
  const lines = readFileSync('/proc/misc', 'utf8').trimEnd().split('\n');
  expect(lines.filter((line) => !/^ *\d+ \S+$/.test(line))).to.deep.equal([]);
}

describe('connections to one lockspace that are made at the same moment', () => {
  it('all get in when they are of one process', async () => {
    for (let round = 0; round < 10; round += 1) {
      const clients = Array.from({ length: 3 }, () => new UserClient());
      await Promise.all(clients.map((client) => client.connect(`once-${round % 2}`)));
      await Promise.all(clients.map((client, i) => client.lock(`own ${i}`)));
      await Promise.all(clients.map((client) => client.disconnect()));
    }
    checkDevices();
    expect(kernelComplaints()).to.deep.equal([]);
  });

  it('all get in when they are of several processes', async () => {
    for (let round = 0; round < 3; round += 1) {
      const children = Array.from({ length: 4 }, (_, i) =>
        promisify(execFile)(process.execPath, [
          programPath('lock-user'),
          'several',
          `own ${i}`,
          'close',
        ]),
      );
      for (const end of await Promise.allSettled(children)) {
        if (end.status === 'rejected') throw end.reason; // has all that the child has said
      }
    }
    checkDevices();
    expect(kernelComplaints()).to.deep.equal([]);
  });

  it('get in though it takes long to give up what was there before', async () => {
    const before = new UserClient();
    await before.connect('given-up');
    const membership = processesOf('dlm-hands');
    expect(membership).to.have.length(1);
    const tell = (signal: NodeJS.Signals): void => {
      for (const pid of membership) process.kill(pid, signal);
    };
    let left: Promise<void>;
    let connected: Promise<void>;
    const after = new UserClient();
    tell('SIGSTOP'); // nobody lets the lockspace go
    try {
      left = before.disconnect();
      await keepersInKernel(1);
      expect(readFileSync('/proc/misc', 'utf8')).not.to.include('dlm_given-up');
      connected = after.connect('given-up');
      // Where no patience of ours ends.
      await keepersAwaitTurn(1);
    } finally {
      tell('SIGCONT');
    }
    await left;
    await connected;
    await after.lock('r');
    await after.disconnect();
    checkDevices();
    expect(kernelComplaints()).to.deep.equal([]);
  });
});

describe('connections that come and go', () => {
  /**
   * Connects and disconnects to two lockspaces for as long as `work` takes, which is told how often so far.
   * One of them is shared: whoever comes may meet who is just leaving.
   */
  async function whileConnecting(work: (rounds: () => number) => Promise<void>): Promise<void> {
    let isOver = false;
    let rounds = 0;
    const comeAndGo = async (group: string): Promise<void> => {
      while (!isOver) {
        const client = new UserClient();
        await client.connect(group);
        await client.unlock(await client.lock('r'));
        await client.disconnect();
        rounds += 1;
      }
    };
    const coming = ['coming', 'coming', 'going'].map(comeAndGo);
    try {
      await Promise.race([work(() => rounds), Promise.all(coming)]);
    } finally {
      isOver = true;
    }
    await Promise.all(coming);
  }

  it('leave nothing of theirs to children that are started meanwhile', async () => {
    const before = keepers();
    await whileConnecting(async (rounds) => {
      for (let i = 0; i < 15 || rounds() < 10; i += 1) {
        const { stdout } = await (i % 3 === 0
          ? promisify(exec)('exec ls -l /proc/self/fd')
          : promisify(execFile)('ls', ['-l', '/proc/self/fd']));
        expect(stdout).to.include(' 0 -> ').and.not.to.match(OURS);
      }
      for (let i = 0; i < 2; i += 1) {
        const child = fork(programPath('sharing-child'));
        const [files] = (await once(child, 'message')) as [string[]];
        expect(files.filter((file) => OURS.test(file))).to.deep.equal([]);
        await once(child, 'exit');
      }
    });
    await keepersGone(before);
    checkDevices();
    expect(kernelComplaints()).to.deep.equal([]);
  });
});
