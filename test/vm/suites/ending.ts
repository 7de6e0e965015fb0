/**
 * What it takes to end a process that uses a stopped lockspace. The kernel lets nobody out of a call
 * into such a lockspace, whatever signal comes; the keeper is there so that a service need not wait for it.
 */
import { expect } from 'chai';

import type { NodeDriver } from '../../../lib/conformance/index.js';
import { DLM_LOCK, type UserStackOptions } from '../../../lib/glue.js';
import type { GuestNode } from '../../../scripts/vm/index.js';
import {
  complaintsOn,
  controlCommand,
  keepDlmRunning,
  type Kernel,
  LineProcess,
  startAgent,
  TEST_TIMEOUT_MS,
  useCluster,
} from '../../support/vm-world.js';
import {
  keeperOf,
  oneWaitsInDlm,
  threadsOf,
  untilThreads,
  waitsInDlm,
} from '../../support/whereabouts.js';

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

/** A service that runs, and what its locks are named after. */
interface Service {
  readonly lines: LineProcess;
  readonly pid: number;
  readonly group: string;
  readonly name: string;
}

/** A bench for services on one node. */
class Bench {
  readonly #node: GuestNode;
  readonly #agent: NodeDriver;
  static #groups = 0;

  constructor(node: GuestNode, agent: NodeDriver) {
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
  ): Promise<Service> {
    const words = [group, state, name, JSON.stringify(options)].map((word) => `'${word}'`);
    const lines = new LineProcess(
      this.#node,
      `exec node dist/test/guest/ending-service.js ${words.join(' ')}`,
    );
    const [ready, pid] = (await lines.line()).split(' ');
    expect(ready).to.equal('ready');
    return { lines, pid: Number(pid), group, name };
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

  /** Resolves once a call that the service has made, or its keeper for it, waits in the kernel. */
  async untilCallWaits(service: Service, submit: 'thread' | 'keeper'): Promise<void> {
    const { pid, group } = service;
    const caller = submit === 'thread' ? pid : await keeperOf(this.#node, group);
    await untilThreads(this.#node, caller, oneWaitsInDlm);
  }

  /** Resolves once the service has nothing left but a thread that waits in the DLM, beside its dead main thread. */
  async untilOnlyCallIsLeft({ pid }: Service): Promise<void> {
    await untilThreads(this.#node, pid, (threads) =>
      threads.every((thread) => (thread.tid === pid ? thread.state === 'Z' : waitsInDlm(thread))),
    );
    await this.checkCallIsLeft({ pid });
  }

  /** The service is in the table of processes, for the sake of a thread that waits in the DLM. */
  async checkCallIsLeft({ pid }: { pid: number }): Promise<void> {
    const left = (await threadsOf(this.#node, pid)).map((thread) =>
      waitsInDlm(thread) ? 'waits in the DLM' : thread.state,
    );
    expect(left).to.have.members(['Z', 'waits in the DLM']);
  }

  /** What has been stopped stands still. */
  async checkStopped(by: Stop, groups: readonly string[]): Promise<void> {
    if (by === 'daemon') {
      const { stdout } = await this.#node.exec('grep State /proc/$(pidof dlm-hands)/status');
      expect(stdout).to.include('T (stopped)');
    } else {
      for (const group of new Set(groups)) {
        const { stdout } = await this.#node.exec(`cat /sys/kernel/dlm/${group}/recover_status`);
        expect(Number(`0x${stdout}`), 'steps of a recovery').to.equal(0);
      }
    }
  }
}

export function ending(kernel: Kernel, submit: 'thread' | 'keeper'): void {
  describe(`with ${kernel} and calls by the ${submit}, while its lockspace is stopped, a process`, function () {
    this.timeout(TEST_TIMEOUT_MS);
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
        const running: Service[] = [];
        for (const [i, group] of groups.entries()) {
          running.push(await bench.start(group, state, `${state} ${i}`, { submit }));
        }
        await bench.stop(by, groups[0] ?? '');
        for (const { lines } of running) expect(await lines.ask('go')).to.equal('there');
        if (state === 'waiting') {
          for (const service of running) await bench.untilCallWaits(service, submit);
        }

        const ended: string[] = [];
        for (const [i, service] of running.entries()) {
          const { title: how, end } = ENDINGS[i]!;
          void service.lines.exit.then(() => ended.push(how));
          end(service.lines);
          // What would end it is not due before the resume: a wait for that never ends.
          await (isHeld ? bench.untilOnlyCallIsLeft(service) : service.lines.exit);
        }
        await bench.checkStopped(by, groups);
        if (isHeld) {
          for (const service of running) await bench.checkCallIsLeft(service);
          expect(ended, 'before the lockspace runs again').to.deep.equal([]);
        }

        await bench.resume(by, groups);
        for (const [i, { lines }] of running.entries()) {
          expect(await lines.exit).to.equal(ENDINGS[i]!.code);
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
        const { lines } = await bench.start(group, state, 'late', options);
        await bench.stop(by, group);
        expect(await lines.ask('go')).to.equal('there');
        const [code, took] = (await lines.line()).split(' ');
        console.log(`      told after ${took} ms`);
        expect(code).to.equal('ERR_DLM_TIMEOUT');
        lines.end();
        expect(await lines.exit).to.equal(0);
        // In time is what is told, and done, before the lockspace runs again.
        await bench.checkStopped(by, groups);

        await bench.resume(by, groups);
        if (by === 'control') await bench.checkFree(['late']);
        await bench.leave(by, groups);
      });
    }
  });
}
