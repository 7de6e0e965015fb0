/**
 * What it takes to end a process that uses a stopped lockspace. The kernel lets nobody out of a call
 * into such a lockspace, whatever signal comes: how long that holds the process is measured here.
 */
import { expect } from 'chai';

import type { NodeDriver } from '../../lib/conformance/index.js';
import { DLM_LKF, DLM_LOCK } from '../../lib/index.js';
import type { Node } from '../../scripts/vm/index.js';
import {
  keepDlmRunning,
  KERNELS,
  LineProcess,
  startAgent,
  useCluster,
} from '../support/vm-world.js';

/** How long a process is watched before its lockspace runs again. */
const WATCH_MS = 3000;

/** Locks of a service in the states "held" and "pending". */
const LOCKS = 20;

/**
 * How a lockspace is stopped: `control` is what dlm_controld does while there is a recovery or no quorum;
 * with `daemon` it has no time for the kernel, whose calls to create or release a lockspace then wait.
 */
const STOPS = {
  control: {
    stop: (group: string) => `echo 0 > /sys/kernel/dlm/${group}/control`,
    resume: (group: string) => `echo 1 > /sys/kernel/dlm/${group}/control`,
  },
  daemon: {
    stop: () => 'kill -STOP $(pidof dlm-hands)',
    resume: () => 'kill -CONT $(pidof dlm-hands)',
  },
};

const STATES: readonly { title: string; state: string; by: keyof typeof STOPS }[] = [
  { title: 'that is connected and has no locks', state: 'idle', by: 'control' },
  { title: 'that holds locks', state: 'held', by: 'control' },
  { title: 'with calls pending', state: 'pending', by: 'control' },
  { title: 'that is connecting', state: 'connecting', by: 'control' },
  { title: 'that is disconnecting', state: 'disconnecting', by: 'control' },
  { title: 'that is creating the lockspace', state: 'connecting', by: 'daemon' },
  { title: 'that is releasing the lockspace', state: 'disconnecting', by: 'daemon' },
];

const ENDINGS: readonly { title: string; end: (service: LineProcess) => void; code: number }[] = [
  { title: 'process.exit', end: (service) => service.send('exit'), code: 0 },
  { title: 'SIGTERM', end: (service) => service.kill('SIGTERM'), code: 128 + 15 },
  { title: 'SIGKILL', end: (service) => service.kill('SIGKILL'), code: 128 + 9 },
];

interface Service {
  readonly process: LineProcess;
  readonly pid: number;
  readonly group: string;
  readonly name: string;
}

/** Milliseconds until the process is gone, or undefined when it is not in time. */
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

/** Where the threads of a process are, for people. */
async function whereabouts(node: Node, pid: number): Promise<string> {
  const { stdout } = await node.run(
    `grep State /proc/${pid}/status; for t in /proc/${pid}/task/*; do ` +
      'echo "$(cat $t/comm) $(grep State $t/status | cut -f 2) $(cat $t/wchan)"; done | sort | uniq',
  );
  return stdout.trim().replaceAll('\n', '; ');
}

for (const kernel of KERNELS) {
  describe(`while its lockspace is stopped, with ${kernel}, a process`, function () {
    this.timeout(120_000);
    const getCluster = useCluster({ nodes: 1, membership: 'host', kernel });
    let node: Node;
    let agent: NodeDriver;

    before(async () => {
      await keepDlmRunning(getCluster());
      node = getCluster().node(1);
      agent = await startAgent(getCluster(), 1);
    });

    async function start(group: string, state: string, name: string): Promise<Service> {
      const program = `exec node dist/test/guest/ending-service.js '${group}' '${state}' '${name}'`;
      const process = new LineProcess(node.spawn(program));
      const [ready, pid] = (await process.line()).split(' ');
      expect(ready).to.equal('ready');
      return { process, pid: Number(pid), group, name };
    }

    STATES.forEach(({ title, state, by }, index) => {
      it(`${title} ends when it runs again at the latest`, async () => {
        const groups = ENDINGS.map((_, i) => (by === 'control' ? `g${index}` : `g${index}-${i}`));
        const group = groups[0] ?? '';
        if (by === 'control') await node.exec(`dlm_tool join ${group}`);
        const services: Service[] = [];
        for (const [i, own] of groups.entries()) {
          services.push(await start(own, state, `${state} ${i}`));
        }
        if (by === 'control') await agent.connect('pcmk', group);

        await node.exec(STOPS[by].stop(group));
        for (const { process } of services) expect(await process.ask('go')).to.equal('there');
        for (const [i, { process, pid }] of services.entries()) {
          const ending = ENDINGS[i]!;
          ending.end(process);
          const time = await timeToEnd(process, WATCH_MS);
          const what =
            time === undefined
              ? `still there after ${WATCH_MS} ms: ${await whereabouts(node, pid)}`
              : `gone after ${Math.round(time)} ms`;
          console.log(`      ${ending.title}: ${what}`);
        }

        await node.exec(STOPS[by].resume(group));
        for (const [i, { process }] of services.entries()) {
          expect(await process.exit).to.equal(ENDINGS[i]!.code);
        }
        if (by === 'control') {
          agent.begin(group);
          for (const { name } of services) {
            for (let i = 0; i < LOCKS; i += 1) {
              for (const resource of [`${name} ${i}`, `${name} more ${i}`]) {
                const { status } = await agent.lock(
                  resource,
                  resource,
                  DLM_LOCK.EX,
                  DLM_LKF.NOQUEUE,
                );
                expect(status, resource).to.equal(0);
              }
            }
          }
          await agent.disconnect();
          await node.exec(`dlm_tool leave ${group}`);
        }
        const { stdout } = await node.exec('dmesg');
        expect(stdout).not.to.match(/BUG:|WARNING:|Oops|Call Trace/);
      });
    });
  });
}
