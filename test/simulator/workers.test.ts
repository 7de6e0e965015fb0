/** Nodes of a simulation in worker threads, and the ends of those. */
import { expect } from 'chai';
import { once } from 'node:events';

import { Simulation } from '../../lib/simulator/index.js';
import { startLockWorker } from './storm.js';
import { failureOf } from './support.js';

/** Turns of `work` that have no end before the thread has one. */
const ENDLESS = Number.MAX_SAFE_INTEGER;

describe('nodes of a simulation in worker threads', () => {
  it('answer calls, fail, die and boot again as others do', async () => {
    const simulation = new Simulation();
    const { worker, port } = startLockWorker();
    const exited = once(worker, 'exit');
    const node = simulation.node(1, { port });
    await simulation.run(async () => {
      expect(await node.call('work', 3)).to.equal(3);
      await node.call('fail', 'on purpose').then(
        () => expect.fail('it was to throw'),
        (error: unknown) => expect(String(error)).to.equal('Error: on purpose'),
      );
      const cut = node.call('work', 1000);
      await simulation.sleep(10);
      node.kill();
      expect(await failureOf(cut)).to.include({ code: 'ERR_DLM_SIMULATION_NODE' });
      node.start();
      expect(await node.call('work', 2)).to.equal(2);
      await node.call('leave');
    });
    await simulation.close();
    // Nothing else keeps the worker alive.
    expect(await exited).to.deep.equal([0]);
  });

  it('have their context in their own thread only', async () => {
    const simulation = new Simulation();
    const node = simulation.node(1, { port: startLockWorker().port });
    expect(() => node.plugin)
      .to.throw()
      .that.includes({ code: 'ERR_DLM_SIMULATION_NODE' });
    await simulation.close();
  });

  it('end a simulation with an error when their thread ends', async () => {
    const simulation = new Simulation();
    const { worker, port } = startLockWorker();
    const node = simulation.node(1, { port });
    const failed = failureOf(
      simulation.run(async () => {
        await node.call('work', 1);
        simulation.setTimeout(() => void worker.terminate(), 5);
        await node.call('work', ENDLESS);
      }),
    );
    expect(await failed).to.include({ code: 'ERR_DLM_SIMULATION_WORKER' });
    await simulation.close();
  });

  it('let their thread end when a simulation is closed in the middle', async () => {
    const simulation = new Simulation();
    const { worker, port } = startLockWorker();
    const exited = once(worker, 'exit');
    const node = simulation.node(1, { port });
    const failed = failureOf(
      simulation.run(async () => {
        simulation.setTimeout(() => void simulation.close(), 20);
        await node.call('work', ENDLESS);
      }),
    );
    expect(await failed).to.include({ code: 'ERR_DLM_SIMULATION_CLOSED' });
    expect(await exited).to.deep.equal([0]);
  });
});
