/** Connects that are given up by a signal. */
import { expect } from 'chai';
import { getEventListeners } from 'node:events';

import {
  createEmulatedUserPlugin,
  createO2cbPlugin,
  StackGlue,
  type ClusterConnection,
  type StackPlugin,
} from '../../lib/glue.js';
import { Simulation } from '../../lib/simulator/index.js';
import { fakePlugin, freshCluster, silentProtocol } from './test-node.js';

const REASON = new Error('enough');

function glueOf(plugin: StackPlugin, label: string): StackGlue {
  const glue = new StackGlue();
  glue.register(plugin);
  glue.clusterStack = label;
  glue.setLockingProtocol(silentProtocol());
  return glue;
}

/** What a connect comes to: its reason, or the connection. */
function connect(glue: StackGlue, signal: AbortSignal, group = 'group'): Promise<unknown> {
  return glue
    .clusterConnect({
      stackName: glue.clusterStack,
      group,
      recoveryHandler: () => undefined,
      signal,
    })
    .catch((error: unknown) => error);
}

/** The connect rejects with the reason, and its stack is given back behind it. */
async function expectGivenUp(
  glue: StackGlue,
  signal: AbortSignal,
  connecting: Promise<unknown>,
): Promise<void> {
  expect(await connecting).to.equal(REASON);
  expect(getEventListeners(signal, 'abort')).to.deep.equal([]);
  while (glue.activeClusterPlugin !== undefined) await new Promise(setImmediate);
}

describe('a connect with a signal', () => {
  const stacks = {
    o2cb: (node: number, cluster: string) => createO2cbPlugin({ node, cluster }),
    pcmk: (node: number, cluster: string) => createEmulatedUserPlugin({ node, cluster }),
  };
  for (const [label, create] of Object.entries(stacks)) {
    describe(`on ${label}`, () => {
      it('does nothing when that is aborted already', async () => {
        const glue = glueOf(create(1, freshCluster()), label);
        const connecting = connect(glue, AbortSignal.abort(REASON));
        expect(glue.activeClusterPlugin).to.equal(undefined);
        expect(await connecting).to.equal(REASON);
      });

      it('is given up at each step, and leaves nobody in the group', async () => {
        const cluster = freshCluster();
        const other = glueOf(create(2, cluster), label);
        const witness = (await connect(other, new AbortController().signal)) as ClusterConnection;
        let givenUp = 0;
        // So many microtasks after the call; more than a connect takes without the event loop.
        for (let steps = 0; steps < 40; steps += 1) {
          const glue = glueOf(create(1, cluster), label);
          const controller = new AbortController();
          const connecting = connect(glue, controller.signal);
          for (let step = 0; step < steps; step += 1) await Promise.resolve();
          controller.abort(REASON);
          const result = await connecting;
          if (result === REASON) {
            givenUp += 1;
            await expectGivenUp(glue, controller.signal, connecting);
          } else {
            await glue.clusterDisconnect(result as ClusterConnection);
          }
          expect(other.clusterMembers(witness)).to.have.length(1);
        }
        expect(givenUp).to.be.above(0);
        await other.clusterDisconnect(witness);
      });

      it('leaves a connection alone that has been made', async () => {
        const glue = glueOf(create(1, freshCluster()), label);
        const controller = new AbortController();
        const connection = (await connect(glue, controller.signal)) as ClusterConnection;
        expect(getEventListeners(controller.signal, 'abort')).to.deep.equal([]);
        controller.abort(REASON);
        expect(connection.state).to.equal('connected');
        await glue.clusterDisconnect(connection);
      });
    });
  }

  it('names the argument when it is none', async () => {
    const glue = glueOf(createO2cbPlugin({ cluster: freshCluster() }), 'o2cb');
    const error = await connect(glue, {} as AbortSignal);
    expect(error).to.be.an.instanceof(TypeError).with.property('argument', 'options.signal');
    expect(glue.activeClusterPlugin).to.equal(undefined);
  });

  it('is not left half made by a signal that throws', async () => {
    const throwing = (name: 'addEventListener' | 'removeEventListener'): AbortSignal => {
      const signal = new AbortController().signal;
      return Object.defineProperty(signal, name, {
        value: () => {
          throw REASON;
        },
      });
    };
    const glue = glueOf(createO2cbPlugin({ cluster: freshCluster() }), 'o2cb');
    expect(await connect(glue, throwing('addEventListener'))).to.equal(REASON);
    while (glue.activeClusterPlugin !== undefined) await new Promise(setImmediate);
    const uncaught = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    const errors: unknown[] = [];
    process.on('uncaughtException', (error) => errors.push(error));
    const connection = await connect(glue, throwing('removeEventListener'));
    await new Promise(setImmediate);
    process.removeAllListeners('uncaughtException');
    for (const each of uncaught) process.on('uncaughtException', each);
    // Of the plugin's turn, and of the connect.
    expect(errors).to.deep.equal([REASON, REASON]);
    await glue.clusterDisconnect(connection as ClusterConnection);
  });

  it('does not wait for a plugin that is being loaded', async () => {
    const glue = new StackGlue();
    glue.setLockingProtocol(silentProtocol());
    let load!: () => void;
    glue.setPluginLoader(() => new Promise<void>((resolve) => (load = resolve)));
    const controller = new AbortController();
    const connecting = connect(glue, controller.signal);
    controller.abort(REASON);
    expect(await connecting).to.equal(REASON);
    glue.register(createO2cbPlugin({ cluster: freshCluster() }));
    load();
    await expectGivenUp(glue, controller.signal, connecting);
  });

  it('does not wait for a plugin that knows no signals, which is disconnected', async () => {
    const calls: string[] = [];
    let finish!: () => void;
    const plugin = fakePlugin('o2cb', {
      connect: () => {
        calls.push('connect');
        return new Promise<void>((resolve) => (finish = resolve));
      },
      disconnect: () => {
        calls.push('disconnect');
        return Promise.resolve();
      },
    });
    const glue = glueOf(plugin, plugin.name);
    const controller = new AbortController();
    const connecting = connect(glue, controller.signal);
    while (calls.length === 0) await Promise.resolve();
    controller.abort(REASON);
    expect(await connecting).to.equal(REASON);
    expect(glue.activeClusterPlugin, 'meanwhile').to.equal(plugin.name);
    finish();
    await expectGivenUp(glue, controller.signal, connecting);
    expect(calls).to.deep.equal(['connect', 'disconnect']);
  });

  for (const profile of ['o2dlm', 'fsdlm'] as const) {
    it(`is given up in a simulation, profile ${profile}`, async () => {
      const simulation = new Simulation({ profile });
      await simulation.run(async () => {
        const label = profile === 'o2dlm' ? 'o2cb' : 'pcmk';
        const witnessGlue = glueOf(simulation.node(2).context.plugin, label);
        const witness = (await connect(
          witnessGlue,
          new AbortController().signal,
        )) as ClusterConnection;
        for (let steps = 0; steps < 10; steps += 1) {
          const glue = glueOf(simulation.node(1).context.plugin, label);
          const controller = new AbortController();
          const connecting = connect(glue, controller.signal);
          for (let step = 0; step < steps; step += 1) await Promise.resolve();
          controller.abort(REASON);
          const result = await connecting;
          if (result !== REASON) await glue.clusterDisconnect(result as ClusterConnection);
          await simulation.sleep(1000);
          expect(glue.activeClusterPlugin).to.equal(undefined);
          expect(witnessGlue.clusterMembers(witness)).to.have.length(1);
        }
        await witnessGlue.clusterDisconnect(witness);
      });
      await simulation.close();
    });
  }
});
