/** A node that is cut off: its lockspace stops, and the programs that use it go on. */
import { expect } from 'chai';
import { setTimeout as sleep } from 'node:timers/promises';

import type { GuestProcess } from '../../scripts/vm/index.js';
import { useCluster } from '../support/vm-world.js';

/** How long the node is cut off; this is what is measured, not a wait for something. */
const CUT_OFF_MS = 20_000;

interface Report {
  longestPauseMs: number;
  ticks: number;
  answers: number;
  slowestAnswerMs: number;
  completions: number;
}

class Service {
  readonly #process: GuestProcess;
  readonly #lines: AsyncIterableIterator<string>;

  constructor(process: GuestProcess) {
    this.#process = process;
    this.#lines = process.lines;
  }

  async line(): Promise<string> {
    const next = await this.#lines.next();
    if (next.done === true) throw new Error(`the service ended: ${this.#process.stderrText}`);
    return next.value;
  }

  ask(command: string): Promise<string> {
    this.#process.stdin.write(`${command}\n`);
    return this.line();
  }

  async report(): Promise<Report> {
    return JSON.parse(await this.ask('report')) as Report;
  }
}

describe('a node that is cut off', function () {
  this.timeout(120_000);
  const getCluster = useCluster({ nodes: 3, membership: 'corosync' });

  it('stops the lockspace but not the event loop', async () => {
    const cluster = getCluster();
    const program = 'dist/test/guest/watched-service.js';
    // Other members, so that being alone means to be without quorum.
    await cluster.node(2).exec('dlm_tool join watched');
    await cluster.node(3).exec('dlm_tool join watched');
    const idle = new Service(cluster.node(1).spawn(`exec node ${program} idle`));
    const locking = new Service(cluster.node(1).spawn(`exec node ${program} locks`));
    expect(await idle.line()).to.equal('prepared');
    expect(await locking.line()).to.equal('prepared 1');
    expect(await idle.ask('warm up')).to.equal('warm');
    expect(await locking.ask('warm up')).to.equal('warm');

    await cluster.isolate(1);
    await cluster.node(1).exec(
      // The lockspace is stopped once dlm_controld has written 0 to its control file.
      'until dlm_tool ls | grep -q "stop\\|wait"; do usleep 50000; done',
    );
    await idle.ask('start');
    await locking.ask('start');
    await sleep(CUT_OFF_MS);
    const [calm, busy] = [await idle.report(), await locking.report()];
    console.log(`      idle    ${JSON.stringify(calm)}`);
    console.log(`      locking ${JSON.stringify(busy)}`);
    expect(busy.completions, 'of 100 calls').to.be.below(100);
    // A call that waits would have paused it for all of that time. On quiet machines the two pauses
    // differ by some 20 ms; on busy ones emulated processors stand still for longer now and then.
    expect(busy.longestPauseMs).to.be.below(1000);
    for (const { ticks, answers } of [calm, busy]) {
      expect(ticks).to.be.above(CUT_OFF_MS / 20 / 4);
      expect(answers).to.be.above(CUT_OFF_MS / 20 / 8);
    }
  });
});
