/**
 * What it takes to end a process that uses a stopped lockspace. The kernel lets nobody out of a call
 * into such a lockspace, whatever signal comes; the keeper is there so that a service need not wait for it.
 */
import { expect } from 'chai';

import type { NodeDriver } from '../../../lib/conformance/index.js';
import { DLM_LOCK, type UserStackOptions } from '../../../lib/index.js';
import type { Node } from '../../../scripts/vm/index.js';
import {
  complaintsOn,
  controlCommand,
  keepDlmRunning,
  type Kernel,
  LineProcess,
  startAgent,
  useCluster,
} from '../../support/vm-world.js';

/**
 * How soon a process must be gone that is said to end at once. On a busy host that takes it a while; that it
 * did not wait for the lockspace is certain, which does not run again before the test says so.
 */
const AT_ONCE_MS = 10_000;

/** How long one is watched that is said to wait for the lockspace. */
const WATCHED_MS = 1000;

/** Locks of a service. */
const LOCKS = 20;

/**
 * How a lockspace is stopped: `control` is what dlm_controld does while there is a recovery or no quorum, and
 * what a service in the state "waiting" does to its own (`itself`); with `daemon`, dlm_controld has no time
 * for the kernel, whose calls to create or release a lockspace then wait.
 */
type Stop = 'control' | 'itself' | 'daemon';

const STATES: readonly { title: string; state: string; by: Stop }[] = [
  { title: 'is connected and has no locks', state: 'idle', by: 'control' },
  { title: 'holds locks', state: 'held', by: 'control' },
  { title: 'has asked for more since', state: 'pending', by: 'control' },
  { title: 'has a call that waits in the kernel', state: 'waiting', by: 'itself' },
  { title: 'is connecting', state: 'connecting', by: 'control' },
  { title: 'is disconnecting', state: 'disconnecting', by: 'control' },
  { title: 'is creating the lockspace', state: 'connecting', by: 'daemon' },
  { title: 'is releasing the lockspace', state: 'disconnecting', by: 'daemon' },
];

const ENDINGS: readonly { title: string; end: (service: LineProcess) => void; code: number }[] = [
  { title: 'process.exit', end: (service) => service.send('exit'), code: 0 },
  { title: 'SIGTERM', end: (service) => service.kill('SIGTERM'), code: 128 + 15 },
  { title: 'SIGKILL', end: (service) => service.kill('SIGKILL'), code: 128 + 9 },
];

/** A time in which the process ends, or undefined when it does not. */
async function timeToEnd(process: LineProcess, limitMs: number): Promise<number | undefined> {
  const began = performance.now();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), limitMs);
  });
  const gone = process.exit.then(() => performance.now() - began);
  const time = await Promise.race([gone, late]);
  clearTimeout(timer);
  return time;
}

/** A bench for services on one node. */
class Bench {
  readonly #node: Node;
  readonly #agent: NodeDriver;
  static #groups = 0;

  constructor(node: Node, agent: NodeDriver) {
    this.#node = node;
    this.#agent = agent;
  }

  /** Names of new lockspaces: one for all of so many services, or one for each. */
  groups(by: Stop, count: number): string[] {
    Bench.#groups += 1;
    const own = by === 'control' ? () => '' : (i: number) => `-${i}`;
    return Array.from({ length: count }, (_, i) => `ending-${Bench.#groups}${own(i)}`);
  }

  async start(
    group: string,
    state: string,
    name: string,
    options: UserStackOptions,
  ): Promise<{ service: LineProcess; pid: number }> {
    const words = [group, state, name, JSON.stringify(options)].map((word) => `'${word}'`);
    const service = new LineProcess(
      this.#node.spawn(`exec node dist/test/guest/ending-service.js ${words.join(' ')}`),
    );
    const [ready, pid] = (await service.line()).split(' ');
    expect(ready).to.equal('ready');
    return { service, pid: Number(pid) };
  }

  /** A lockspace that others are in as well: the agent, and the node itself. */
  async join(group: string): Promise<void> {
    await this.#node.exec(`dlm_tool join ${group}`);
    await this.#agent.connect('pcmk', group);
  }

  async stop(by: Stop, group: string): Promise<void> {
    if (by === 'control') await this.#node.exec(controlCommand(group, 0));
    if (by === 'daemon') await this.#node.exec('kill -STOP $(pidof dlm-hands)');
  }

  async resume(by: Stop, groups: readonly string[]): Promise<void> {
    if (by === 'daemon') {
      await this.#node.exec('kill -CONT $(pidof dlm-hands)');
    } else {
      for (const group of new Set(groups)) {
        await this.#node.exec(controlCommand(group, 1));
      }
    }
  }

  /** Nobody has the locks of services of these names, nor will. */
  async checkFree(names: readonly string[]): Promise<void> {
    for (const name of names) {
      for (let i = 0; i < LOCKS; i += 1) {
        for (const resource of [`${name} ${i}`, `${name} more ${i}`]) {
          const lock = await this.#agent.lock(resource, resource, DLM_LOCK.EX);
          expect(lock.status, resource).to.equal(0);
        }
      }
    }
  }

  /** Leaves what `join` has joined, and waits until no service is in these lockspaces any more. */
  async leave(by: Stop, groups: readonly string[]): Promise<void> {
    if (by === 'control') {
      await this.#agent.disconnect();
      await this.#node.exec(`dlm_tool leave ${groups[0] ?? ''}`);
    }
    for (const group of groups) {
      await this.#node.exec(`while [ -e /sys/kernel/dlm/${group} ]; do usleep 20000; done`);
    }
    await this.#node.exec('while ps | grep -q "stackglue-keepe[r] ending"; do usleep 20000; done');
    expect(await complaintsOn(this.#node)).to.deep.equal([]);
  }

  /** Where the threads of a process are, for people. */
  async whereabouts(pid: number): Promise<string> {
    const { stdout } = await this.#node.run(
      `for t in /proc/${pid}/task/*; do ` +
        'echo "$(cat $t/comm) $(grep State $t/status | cut -f 2) $(cat $t/wchan)"; done | sort | uniq',
    );
    return stdout.trim().replaceAll('\n', '; ');
  }
}

export function ending(kernel: Kernel, submit: 'thread' | 'keeper'): void {
  describe(`with ${kernel} and calls by the ${submit}, while its lockspace is stopped, a process`, function () {
    this.timeout(120_000);
    const getCluster = useCluster({ nodes: 1, membership: 'host', kernel });
    let bench: Bench;

    before(async () => {
      await keepDlmRunning(getCluster());
      bench = new Bench(getCluster().node(1), await startAgent(getCluster(), 1));
    });

    for (const { title, state, by } of STATES) {
      const isHeld = submit === 'thread' && state === 'waiting';
      it(`that ${title} ends ${isHeld ? 'when it runs again' : 'at once'}`, async () => {
        const groups = bench.groups(by, ENDINGS.length);
        if (by === 'control') await bench.join(groups[0] ?? '');
        const running: { service: LineProcess; pid: number; name: string }[] = [];
        for (const [i, group] of groups.entries()) {
          const name = `${state} ${i}`;
          running.push({ name, ...(await bench.start(group, state, name, { submit })) });
        }
        await bench.stop(by, groups[0] ?? '');
        for (const { service } of running) expect(await service.ask('go')).to.equal('there');

        const late: string[] = [];
        for (const [i, { service, pid }] of running.entries()) {
          const { title: how, end } = ENDINGS[i]!;
          end(service);
          const time = await timeToEnd(service, isHeld ? WATCHED_MS : AT_ONCE_MS);
          if (time === undefined) late.push(`${how}: ${await bench.whereabouts(pid)}`);
          const what = time === undefined ? 'not in time' : `${Math.round(time)} ms`;
          console.log(`      ${how}: ${what}`);
        }
        if (!isHeld) expect(late).to.deep.equal([]);

        await bench.resume(by, groups);
        for (const [i, { service }] of running.entries()) {
          expect(await service.exit).to.equal(ENDINGS[i]!.code);
        }
        if (by === 'control') await bench.checkFree(running.map(({ name }) => name));
        await bench.leave(by, groups);
      });
    }

    for (const { title, state, by } of STATES.filter(({ state }) => state.endsWith('connecting'))) {
      it(`that ${title} is told in time that it cannot, and ends by itself`, async () => {
        const timeoutMs = 500;
        const options = {
          submit,
          connectTimeoutMs: state === 'connecting' ? timeoutMs : 0,
          disconnectTimeoutMs: timeoutMs,
        };
        const groups = bench.groups(by, 1);
        const [group = ''] = groups;
        if (by === 'control') await bench.join(group);
        const { service, pid } = await bench.start(group, state, 'late', options);
        await bench.stop(by, group);
        expect(await service.ask('go')).to.equal('there');
        const [code, took] = (await service.line()).split(' ');
        console.log(`      told after ${took} ms`);
        expect(code).to.equal('ERR_DLM_TIMEOUT');
        // The loop's clock is not the one that it was taken by, and counts whole milliseconds.
        expect(Number(took)).to.be.within(timeoutMs - 10, timeoutMs + AT_ONCE_MS);
        service.end();
        const time = await timeToEnd(service, AT_ONCE_MS);
        expect(time, await bench.whereabouts(pid)).not.to.equal(undefined);
        expect(await service.exit).to.equal(0);

        await bench.resume(by, groups);
        if (by === 'control') await bench.checkFree(['late']);
        await bench.leave(by, groups);
      });
    }
  });
}
