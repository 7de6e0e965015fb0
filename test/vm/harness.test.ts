import { expect } from 'chai';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';

import { architectureOf, HOST_ARCHITECTURE } from '../../scripts/vm/architecture.js';
import { writeCpio } from '../../scripts/vm/cpio.js';
import { FrameReader, frame } from '../../scripts/vm/framing.js';
import { describeInGuest } from '../../scripts/vm/guest-mocha.js';
import { Hub, clusterMac } from '../../scripts/vm/hub.js';
import { VmError, type GuestNode } from '../../scripts/vm/index.js';
import { extractKernel, modulesDep } from '../../scripts/vm/kernel.js';
import { withLock } from '../../scripts/vm/lock.js';
import { GUEST_PACKAGES, hasPackages } from '../../scripts/vm/packages.js';
import { runToEnd } from '../../scripts/vm/run.js';
import { keepDlmRunning, TEST_TIMEOUT_MS, useCluster } from '../support/vm-world.js';

describe('vm: framing', function () {
  it('puts a big-endian length in front of all parts', function () {
    expect(frame(Buffer.from('ab'), Buffer.from('c'))).to.deep.equal(
      Buffer.from('\0\0\0\x03abc', 'latin1'),
    );
  });

  it('finds the same messages however the stream is split', function () {
    const texts = ['', 'a', 'hello', 'x'.repeat(3000)];
    const stream = Buffer.concat(texts.map((each) => frame(Buffer.from(each))));
    for (const size of [1, 2, 3, 5, 7, 1000, stream.length]) {
      const reader = new FrameReader();
      const found: string[] = [];
      for (let at = 0; at < stream.length; at += size) {
        found.push(...reader.push(stream.subarray(at, at + size)).map(String));
      }
      expect(found).to.deep.equal(texts);
    }
  });
});

describe('vm: packages', function () {
  it('are downloaded again when guests have come to need others', async function () {
    const folder = mkdtempSync(join(tmpdir(), 'stackglue-packages-'));
    const has = (record: object): Promise<boolean> => {
      writeFileSync(join(folder, 'packages.json'), JSON.stringify({ packages: [], ...record }));
      return hasPackages(folder);
    };
    try {
      expect(await hasPackages(join(folder, 'nothing'))).to.equal(false);
      expect(await has({})).to.equal(false);
      expect(await has({ chosenFor: GUEST_PACKAGES.slice(1) })).to.equal(false);
      expect(await has({ chosenFor: GUEST_PACKAGES })).to.equal(true);
      expect(await has({ chosenFor: [...GUEST_PACKAGES, 'another'] })).to.equal(true);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('vm: processors', function () {
  it('are those that the names of kernels say', function () {
    for (const kernel of ['linux-image-arm64', 'linux-image-6.12.1+deb13-arm64-16k/sid']) {
      expect(architectureOf(kernel)).to.equal('arm64');
    }
    expect(architectureOf('linux-image-6.1.0-57-amd64')).to.equal('x64');
    expect(architectureOf('a-kernel-of-my-own/arm64')).to.equal(HOST_ARCHITECTURE);
  });

  it('boot no kernel whose form is not known', async function () {
    const folder = mkdtempSync(join(tmpdir(), 'stackglue-kernel-'));
    const [image, output] = [join(folder, 'image'), join(folder, 'output')];
    try {
      for (const bytes of [Buffer.alloc(100), Buffer.alloc(4096)]) {
        writeFileSync(image, bytes);
        const error: unknown = await extractKernel('arm64', image, output).catch((e: unknown) => e);
        expect(error).to.be.instanceOf(VmError).and.to.have.property('code', 'build');
        expect(existsSync(output)).to.equal(false);
      }
      const known = Buffer.alloc(4096);
      known.write('ARM\x64', 56);
      writeFileSync(image, known);
      await extractKernel('arm64', image, output);
      expect(readFileSync(output).equals(known)).to.equal(true);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('vm: cpio', function () {
  it('writes what cpio reads: folders, files with their bytes, links', function () {
    const archive = writeCpio([
      { type: 'directory', path: 'etc' },
      { type: 'file', path: 'etc/name', mode: 0o640, data: Buffer.from('guest\n') },
      { type: 'link', path: 'etc/link', target: 'name' },
    ]);
    expect(archive.length % 4).to.equal(0);
    // The kernel's format: ASCII headers of 110 bytes, names and data padded to 4.
    const header = (at: number): { mode: number; size: number; name: string; next: number } => {
      expect(archive.toString('latin1', at, at + 6)).to.equal('070701');
      const field = (index: number): number =>
        Number.parseInt(archive.toString('latin1', at + 6 + index * 8, at + 14 + index * 8), 16);
      const pad = (length: number): number => (length + 3) & ~3;
      const name = archive.toString('latin1', at + 110, at + 110 + field(11) - 1);
      const data = pad(at + 110 + field(11));
      return { mode: field(1), size: field(6), name, next: data + pad(field(6)) };
    };
    const folder = header(0);
    const file = header(folder.next);
    const link = header(file.next);
    const trailer = header(link.next);
    expect(folder).to.include({ mode: 0o040755, size: 0, name: 'etc' });
    expect(file).to.include({ mode: 0o100640, size: 6, name: 'etc/name' });
    expect(archive.toString('latin1', file.next - 8, file.next - 2)).to.equal('guest\n');
    expect(link).to.include({ mode: 0o120777, size: 4, name: 'etc/link' });
    expect(trailer.name).to.equal('TRAILER!!!');
    expect(trailer.next).to.equal(archive.length);
  });
});

describe('vm: modules.dep', function () {
  it('names all that a module needs, what is loaded first at the end', function () {
    const data = Buffer.alloc(0);
    const text = modulesDep([
      { name: 'a', data, needs: [] },
      { name: 'b', data, needs: ['a'] },
      { name: 'c', data, needs: ['b'] },
    ]);
    expect(text).to.equal('a.ko:\nb.ko: a.ko\nc.ko: b.ko a.ko\n');
  });
});

/** How many wait in the kernel for the lock on a file. */
function waitersFor(path: string): number {
  const { ino } = statSync(path);
  const lines = readFileSync('/proc/locks', 'utf8').split('\n');
  return lines.filter((line) => line.includes('-> FLOCK') && line.includes(`:${ino} `)).length;
}

describe('vm: lock between processes', function () {
  it('lets one in at a time', async function () {
    const folder = mkdtempSync(join(tmpdir(), 'stackglue-lock-'));
    const path = join(folder, 'lock');
    const order: string[] = [];
    let entered!: () => void;
    let leave!: () => void;
    const isIn = new Promise<void>((resolve) => (entered = resolve));
    const mayLeave = new Promise<void>((resolve) => (leave = resolve));
    const first = withLock(path, async () => {
      order.push('first is in');
      entered();
      await mayLeave;
      order.push('first leaves');
    });
    await isIn;
    const others = [1, 2].map(() =>
      withLock(path, async () => {
        order.push('another is in');
        await nextTurn();
        order.push('another leaves');
      }),
    );
    const [begin] = order;
    while (waitersFor(path) < others.length && order.at(-1) === begin) await sleep(20);
    leave();
    await Promise.all([first, ...others]);
    const another = ['another is in', 'another leaves'];
    expect(order).to.deep.equal(['first is in', 'first leaves', ...another, ...another]);
    rmSync(folder, { recursive: true });
  });

  it('is free again after work that failed', async function () {
    const folder = mkdtempSync(join(tmpdir(), 'stackglue-lock-'));
    const path = join(folder, 'lock');
    const failed = await withLock(path, () => Promise.reject(new Error('no'))).catch(String);
    expect(failed).to.equal('Error: no');
    expect(await withLock(path, () => Promise.resolve(7))).to.equal(7);
    rmSync(folder, { recursive: true });
  });
});

/** A network card that is not QEMU's: sends and records frames. */
class Card {
  readonly received: string[] = [];
  readonly #node: number;
  readonly #socket: Socket;

  constructor(node: number, port: number) {
    this.#node = node;
    this.#socket = connect(port, '127.0.0.1');
    const reader = new FrameReader();
    this.#socket.on('data', (chunk: Buffer) => {
      for (const message of reader.push(chunk)) this.received.push(message.toString('latin1', 14));
    });
  }

  send(to: number | 'all', text: string): void {
    const address = (mac: string): Buffer => Buffer.from(mac.replaceAll(':', ''), 'hex');
    const destination = to === 'all' ? Buffer.alloc(6, 0xff) : address(clusterMac(to));
    const source = address(clusterMac(this.#node));
    const type = Buffer.from([0x08, 0x00]);
    this.#socket.write(frame(destination, source, type, Buffer.from(text)));
  }

  async receives(text: string): Promise<void> {
    while (!this.received.includes(text)) await once(this.#socket, 'data');
  }

  end(): void {
    this.#socket.destroy();
  }
}

describe('vm: hub', function () {
  let hub: Hub;
  let cards: Card[];
  let one: Card, two: Card, three: Card;
  /** What the hub would do after a time, which no test waits for. */
  let delayed: { pass: () => void; delayMs: number }[];

  /** All have spoken, so that the hub knows who is where. */
  beforeEach(async function () {
    delayed = [];
    hub = new Hub(
      () => 0.5,
      (pass, delayMs) => delayed.push({ pass, delayMs }),
    );
    const port = await hub.listen();
    cards = [];
    for (const node of [1, 2, 3]) {
      const plugged = [...cards];
      const card = new Card(node, port);
      cards.push(card);
      card.send('all', `node ${node} is here`);
      for (const other of plugged) await other.receives(`node ${node} is here`);
    }
    [one, two, three] = cards as [Card, Card, Card];
    one.send('all', 'all are here');
    for (const card of [two, three]) await card.receives('all are here');
    for (const card of cards) card.received.length = 0;
  });

  afterEach(async function () {
    for (const card of cards) card.end();
    await hub.close();
  });

  /** What was sent before has arrived when this has, as links keep their order. */
  async function marker(from: Card, ...to: Card[]): Promise<void> {
    hub.clearRules();
    from.send('all', 'marker');
    for (const card of to) await card.receives('marker');
  }

  it('gives a frame to its destination, and those for all to all others', async function () {
    one.send(2, 'for two');
    one.send('all', 'for all');
    await marker(one, two, three);
    expect(two.received).to.deep.equal(['for two', 'for all', 'marker']);
    expect(three.received).to.deep.equal(['for all', 'marker']);
    expect(one.received).to.deep.equal([]);
  });

  it('cuts one direction of one link', async function () {
    hub.setRule(1, 2, { cut: true });
    one.send(2, 'lost');
    one.send('all', 'half lost');
    one.send(3, 'passes');
    two.send(1, 'back');
    await three.receives('passes');
    await one.receives('back');
    await marker(one, two);
    expect(two.received).to.deep.equal(['marker']);
    expect(three.received).to.include.members(['half lost', 'passes']);
  });

  it('passes everything again once rules are cleared', async function () {
    hub.setRule(1, 2, { cut: true });
    one.send(2, 'lost');
    one.send(3, 'seen');
    await three.receives('seen');
    hub.clearRules();
    one.send(2, 'healed');
    await two.receives('healed');
    expect(two.received).to.deep.equal(['healed']);
  });

  it('loses frames by chance', async function () {
    hub.setRule(1, 2, { loss: 0.6 }); // the test's chance is always 0.5
    hub.setRule(1, 3, { loss: 0.4 });
    one.send('all', 'perhaps');
    await three.receives('perhaps');
    await marker(one, two);
    expect(two.received).to.deep.equal(['marker']);
  });

  it('delays frames and keeps their order', async function () {
    hub.setRule(1, 2, { delayMs: 60 });
    one.send(2, 'first');
    one.send('all', 'second');
    await three.receives('second');
    three.send(2, 'not delayed');
    await two.receives('not delayed');
    expect(two.received).to.deep.equal(['not delayed']);
    expect(delayed.map(({ delayMs }) => delayMs)).to.deep.equal([60, 60]);
    for (const { pass } of delayed) pass();
    await two.receives('second');
    expect(two.received).to.deep.equal(['not delayed', 'first', 'second']);
  });

  it('keeps the frames of a capture, those that are cut too', async function () {
    one.send(2, 'before');
    await two.receives('before');
    hub.startCapture();
    hub.setRule(1, 2, { cut: true });
    one.send(2, 'cut');
    two.send(3, 'passes');
    await three.receives('passes');
    await marker(one, two);
    const texts = hub.endCapture().map((each) => Buffer.from(each.subarray(14)).toString());
    expect(texts).to.have.members(['cut', 'passes', 'marker']);
    one.send(3, 'after');
    await three.receives('after');
    expect(hub.endCapture()).to.deep.equal([]);
  });

  it('goes on when a card is unplugged', async function () {
    three.end();
    one.send('all', 'still here');
    await two.receives('still here');
  });
});

async function failure(work: Promise<unknown>): Promise<VmError> {
  try {
    await work;
  } catch (error) {
    if (error instanceof VmError) return error;
    throw error;
  }
  throw new Error('It was expected to fail.');
}

describe('vm: one node without a cluster', function () {
  this.timeout(TEST_TIMEOUT_MS);
  const getCluster = useCluster({ nodes: 1, membership: 'none' });
  let node: GuestNode;

  before(function () {
    node = getCluster().node(1);
  });

  it('runs a command and tells its exit code and both outputs apart', async function () {
    const result = await node.run('echo out; echo err >&2; exit 3');
    expect(result).to.deep.equal({ code: 3, stdout: 'out\n', stderr: 'err\n' });
  });

  it('throws with all output when a command that must succeed does not', async function () {
    const error = await failure(node.exec('echo this went wrong; exit 5'));
    expect(error.code).to.equal('command');
    expect(error.message).to.include('code 5').and.include('this went wrong');
  });

  it('streams megabytes through a command that echoes them', async function () {
    const child = node.spawn('cat');
    const sent = Buffer.alloc(3_000_000, 'stackglue ');
    const received = buffer(child.stdout);
    child.stdin.end(sent);
    expect(await child.exit).to.equal(0);
    expect((await received).equals(sent)).to.equal(true);
  });

  it('talks to a command line by line', async function () {
    const child = node.spawn('while read line; do echo "got $line"; done');
    const { lines } = child;
    for (const word of ['one', 'two']) {
      child.stdin.write(`${word}\n`);
      expect((await lines.next()).value).to.equal(`got ${word}`);
    }
    child.stdin.end();
    expect(await child.exit).to.equal(0);
  });

  it('runs several commands at once', async function () {
    const numbers = Array.from({ length: 20 }, (_, index) => String(index));
    const results = await Promise.all(numbers.map((number) => node.exec(`echo -n ${number}`)));
    expect(results.map((result) => result.stdout)).to.deep.equal(numbers);
  });

  it('does not wait for what a command leaves in the background', async function () {
    expect((await node.run('sleep 1000 & echo done')).stdout).to.equal('done\n');
  });

  it('kills a command with all of its group', async function () {
    const child = node.spawn('sleep 4321 & echo started; wait');
    await child.lines.next();
    child.kill();
    expect(await child.exit).to.equal(128 + 9);
    expect((await node.run('ps | grep "sleep 432[1]"')).stdout).to.equal('');
  });

  it('kills a command whose connection is closed', async function () {
    const child = node.spawn('echo started; exec sleep 5432');
    await child.lines.next();
    child.disconnect();
    expect((await failure(child.exit)).code).to.equal('gone');
    await node.exec('while ps | grep -q "sleep 543[2]"; do sleep 0.1; done');
  });

  it('gives up a command that takes too long', async function () {
    const child = node.spawn('echo begun; exec sleep 6543');
    await once(child.stdout, 'readable'); // it has begun, however long that took
    const error = await failure(runToEnd(child, 'It', { timeoutMs: 1 }));
    expect(error.code).to.equal('timeout');
    expect(error.message).to.equal('It did not end in 1 ms. It said: begun');
    await node.exec('while ps | grep -q "sleep 654[3]"; do sleep 0.1; done');
    const other = await failure(node.run('sleep 7654', { timeoutMs: 1 }));
    expect(other.message).to.include('"sleep 7654" on node 1 did not end');
  });

  it('runs a command on a terminal', async function () {
    const child = node.spawn('stty size; test -t 0', { terminal: { rows: 33, columns: 77 } });
    const output = buffer(child.stdout);
    expect(await child.exit).to.equal(0);
    expect(String(await output)).to.equal('33 77\r\n');
  });

  it("has the host's Node.js, the project, libdlm and the lock manager", async function () {
    expect((await node.exec('node --version')).stdout.trim()).to.equal(process.version);
    const { stdout } = await node.exec(`cat ${node.project}/package.json`);
    expect(JSON.parse(stdout)).to.include({ name: 'stackglue' });
    await node.exec(
      'test -c /dev/misc/dlm-control && test -e /usr/lib/x86_64-linux-gnu/libdlm.so.3',
    );
  });

  describeInGuest('mocha in the guest', () => node, 'dist/test/vm/harness.fixture.js', {
    env: { GREETING: "it's me" },
  });

  it('reports the death of a node to those who wait, and boots it again', async function () {
    const running = getCluster();
    const waiting = failure(node.run('sleep 1000'));
    await running.kill(1);
    expect((await waiting).code).to.equal('gone');
    expect(node.isUp).to.equal(false);
    expect((await failure(node.run('true'))).message).to.include('not running');
    await running.restart(1);
    expect((await node.exec('hostname')).stdout).to.equal('n1\n');
  });

  it('leaves no machine behind when its process is killed', async function () {
    const script = `
      import { Cluster } from ${JSON.stringify(join(import.meta.dirname, '../../scripts/vm/index.js'))};
      const cluster = await Cluster.boot({ nodes: 1, membership: 'none' });
      console.log(cluster.node(1).pid);
      setInterval(() => {}, 1000);
    `;
    const folder = mkdtempSync(join(tmpdir(), 'stackglue-orphan-'));
    const file = join(folder, 'boot.mjs');
    writeFileSync(file, script);
    const child = spawn(process.execPath, [file], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    const pid = Number(String(line));
    expect(isRunning(pid)).to.equal(true);
    child.kill('SIGKILL');
    while (isRunning(pid)) await sleep(20);
    rmSync(folder, { recursive: true });
  });

  it('has no emulated instruction that spoils its flags', async function () {
    const { stdout } = await node.exec('cat /proc/cpuinfo');
    expect(stdout).to.match(/^flags\s*:/m);
    if (getCluster().accelerator === 'tcg') expect(stdout).not.to.match(/\bcx16\b/);
  });

  it('keeps the console in a log', function () {
    const file = join(getCluster().logFolder, 'n1.console.log');
    expect(readFileSync(file, 'utf8')).to.include('STACKGLUE-GUEST-READY');
  });
});

describe('vm: membership decided by the host', function () {
  this.timeout(TEST_TIMEOUT_MS);
  const MEMBERS = '/sys/kernel/config/dlm/cluster/spaces/X/nodes';
  const running = useCluster({ nodes: 3, membership: 'host' });

  before(() => keepDlmRunning(running()));

  async function membersSeenBy(id: number): Promise<string> {
    return (await running().node(id).exec(`ls ${MEMBERS} | xargs`)).stdout.trim();
  }

  async function onAll(command: string): Promise<void> {
    await Promise.all(running().nodes.map((node) => node.exec(command)));
  }

  it('tells all members of a lockspace of each other, again and again', async function () {
    for (let round = 0; round < 5; round++) {
      await onAll('dlm_tool join X');
      const seen = await Promise.all([1, 2, 3].map(membersSeenBy));
      expect(seen).to.deep.equal(['1 2 3', '1 2 3', '1 2 3']);
      await onAll('dlm_tool leave X');
    }
  });

  it('tells those who stay of one that leaves', async function () {
    await onAll('dlm_tool join X');
    await running().node(2).exec('dlm_tool leave X');
    // Who leaves does not wait for the others.
    for (const id of [1, 3]) {
      const seen = `"$(ls ${MEMBERS} | xargs)"`;
      await running().node(id).exec(`until [ ${seen} = "1 3" ]; do usleep 20000; done`);
    }
    await running().node(2).exec('dlm_tool join X');
    expect(await membersSeenBy(1)).to.equal('1 2 3');
  });

  it('removes a node that was killed, and takes it back', async function () {
    await running().kill(1);
    expect(await membersSeenBy(2)).to.equal('2 3');
    await running().restart(1);
    await running().node(1).exec('dlm_tool join X');
    expect(await membersSeenBy(3)).to.equal('1 2 3');
  });

  it('loses and restores what the cluster network carries, but not commands', async function () {
    const ids = [1, 2, 3];
    // What has no address to go to would be kept, and sent when the link is back.
    for (const from of ids) {
      const others = ids.filter((id) => id !== from);
      const addresses = others.map((id) => `arp -s n${id} ${clusterMac(id)}`);
      await running().node(from).exec(addresses.join(' && '));
    }
    /** Asks until there is an answer. */
    const reach = (from: number, to: number): Promise<unknown> =>
      running().node(from).exec(`until ping -c 1 -W 1 n${to}; do :; done`);
    const askInVain = async (from: number, to: number): Promise<void> => {
      const { code } = await running().node(from).run(`ping -c 1 -W 1 n${to}`);
      expect(code, `a ping from ${from} to ${to}`).to.equal(1);
    };
    /** How many requests a node has sent, or got. */
    const echoes = async (id: number, field: 'OutEchos' | 'InEchos'): Promise<number> => {
      const { stdout } = await running().node(id).exec('grep ^Icmp: /proc/net/snmp');
      const [names = [], values = []] = stdout.split('\n').map((line) => line.split(' '));
      return Number(values[names.indexOf(field)]);
    };
    await reach(1, 2);
    await reach(1, 3);
    await running().isolate(1);
    const got = [await echoes(2, 'InEchos'), await echoes(3, 'InEchos')];
    const [sent, beside] = [await echoes(1, 'OutEchos'), await echoes(2, 'OutEchos')];
    for (const to of [2, 3]) await askInVain(1, to);
    await reach(2, 3);
    await running().heal(1, 2);
    await askInVain(1, 3);
    const lost = await echoes(1, 'OutEchos');
    expect(lost, 'requests that were sent in vain').to.equal(sent + 3);
    // A link keeps its order: with this one would come what was sent before.
    await reach(1, 2);
    const second = (await echoes(1, 'OutEchos')) - lost;
    await running().heal();
    await reach(1, 3);
    const third = (await echoes(1, 'OutEchos')) - lost - second;
    const others = (await echoes(2, 'OutEchos')) - beside;
    expect([await echoes(2, 'InEchos'), await echoes(3, 'InEchos')]).to.deep.equal([
      got[0]! + second,
      got[1]! + third + others,
    ]);
  });

  it('is closed for good, and any number of times', async function () {
    await Promise.all([running().close(), running().close()]);
    expect((await failure(running().cut(1, 2))).code).to.equal('gone');
  });
});

/** Whether a process exists and is no zombie. */
function isRunning(pid: number): boolean {
  if (!existsSync(`/proc/${pid}/status`)) return false;
  return !/^State:\s+[ZX]/m.test(
    execFileSync('cat', [`/proc/${pid}/status`], { encoding: 'utf8' }),
  );
}
