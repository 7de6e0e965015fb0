/** What the simulator's calls are given wrongly: an error that names the argument, and no change. */
import { expect } from 'chai';

import {
  attachSimulation,
  explore,
  History,
  replay,
  Simulation,
} from '../../lib/simulator/index.js';

const wrong = (value: unknown): never => value as never;

describe('bad input to the simulator', () => {
  const simulation = new Simulation();
  after(() => simulation.close());

  const throwing: [argument: string, call: () => unknown][] = [
    ['options', () => new Simulation(wrong(1))],
    ['options.seed', () => new Simulation({ seed: -1 })],
    ['options.seed', () => new Simulation({ seed: 1.5 })],
    ['options.profile', () => new Simulation({ profile: wrong('other') })],
    ['options.delayUs', () => new Simulation({ delayUs: wrong(3) })],
    ['options.delayUs[0]', () => new Simulation({ delayUs: [-1, 3] })],
    ['options.delayUs[1]', () => new Simulation({ delayUs: [5, 4] })],
    ['options.detectMs', () => new Simulation({ detectMs: 0 })],
    ['options.recoveryMs', () => new Simulation({ recoveryMs: wrong(3) })],
    ['options.recoveryMs[0]', () => new Simulation({ recoveryMs: [-1, 3] })],
    ['options.recoveryMs[1]', () => new Simulation({ recoveryMs: [5, 4] })],
    ['options.quorumMs', () => new Simulation({ quorumMs: -1 })],
    ['options.quorumMs', () => new Simulation({ quorumMs: 0.5 })],
    ['options.replay', () => new Simulation({ replay: wrong(5) })],
    ['text', () => new History(wrong(undefined))],
    ['number', () => simulation.node(0)],
    ['number', () => simulation.node(255)],
    ['options', () => simulation.node(1, wrong(null))],
    ['options.program', () => simulation.node(1, { program: wrong('x') })],
    ['options.port', () => simulation.node(1, { port: wrong({}) })],
    ['ms', () => simulation.setTimeout(() => undefined, NaN)],
    ['callback', () => simulation.setTimeout(wrong(1), 1)],
    ['timer', () => simulation.clearTimeout(wrong('1'))],
    ['text', () => simulation.note(wrong(1))],
    ['options', () => simulation.chaos(wrong(1))],
    ['options.nodes', () => simulation.chaos({ nodes: wrong(1) })],
    ['options.nodes[0]', () => simulation.chaos({ nodes: [wrong(1)] })],
    ['options.kills', () => simulation.chaos({ kills: -1 })],
    ['options.partitions', () => simulation.chaos({ partitions: wrong('1') })],
    ['options.pauses', () => simulation.chaos({ pauses: 0.5 })],
    ['options.pairs', () => simulation.chaos({ pairs: -1 })],
    ['options.stops', () => simulation.chaos({ stops: 0.5 })],
    ['options.quorumLosses', () => simulation.chaos({ quorumLosses: wrong(null) })],
    ['options.daemonLosses', () => simulation.chaos({ daemonLosses: wrong('1') })],
    ['options.releases', () => simulation.chaos({ releases: 1e9 })],
    ['options.processEnds', () => simulation.chaos({ processEnds: NaN })],
    ['options.groups', () => simulation.chaos({ groups: wrong('test') })],
    ['options.groups[1]', () => simulation.chaos({ groups: ['a', wrong(1)] })],
    ['group', () => simulation.stop(wrong(1))],
    ['group', () => simulation.stop('')],
    ['group', () => simulation.resume(wrong(null))],
    ['from', () => simulation.partition(0, 1)],
    ['to', () => simulation.partition(1, wrong('2'))],
    ['to', () => simulation.partition(1, 1)],
    ['options', () => simulation.partition(1, 2, wrong(1))],
    ['options.oneWay', () => simulation.partition(1, 2, { oneWay: wrong(1) })],
    ['a', () => simulation.heal(wrong(undefined), 1)],
    ['b', () => simulation.heal(1, 255)],
    ['b', () => simulation.heal(3, 3)],
    ['group', () => simulation.node(8).release(wrong(1))],
    ['options', () => simulation.node(8).spawn(wrong(1))],
    ['options.program', () => simulation.node(8).spawn({ program: wrong(1) })],
    ['options.port', () => simulation.node(8).spawn({ port: wrong({}) })],
    ['options.withinMs', () => simulation.chaos({ withinMs: -1 })],
    ['options.lengthMs', () => simulation.chaos({ lengthMs: wrong([1]) })],
    ['options.lengthMs[1]', () => simulation.chaos({ lengthMs: [2, 1] })],
    ['port', () => attachSimulation(wrong({}), () => undefined)],
  ];
  const rejecting: [argument: string, call: () => Promise<unknown>][] = [
    ['ms', async () => simulation.sleep(-1)],
    ['ms', () => simulation.runFor(Infinity)],
    ['body', () => simulation.run(wrong(1))],
    ['promise', () => simulation.runUntil(wrong({}))],
    ['options', () => simulation.settle(wrong(1))],
    ['options.maxSteps', () => simulation.settle({ maxSteps: 0 })],
    ['options', () => explore(wrong(1))],
    ['options.run', () => explore({ run: wrong(1) })],
    ['options.seeds', () => explore({ seeds: wrong({}), run: () => undefined })],
    ['options.seed', () => explore({ seeds: [-1], run: () => undefined })],
    ['run', () => replay('', wrong(1))],
    ['name', () => simulation.node(9).call(wrong(1))],
    ['name', () => simulation.node(9).spawn().call(wrong(1))],
  ];

  for (const [argument, call] of throwing) {
    it(`names ${argument}: ${call.toString().slice(6)}`, () => {
      expect(call).to.throw(Error, `"${argument}"`).with.property('code').that.match(/^ERR_/);
    });
  }
  for (const [argument, call] of rejecting) {
    it(`names ${argument}: ${call.toString().slice(6)}`, async () => {
      const error: unknown = await call().catch((thrown: unknown) => thrown);
      expect(error).to.be.an('error');
      expect((error as Error).message).to.include(`"${argument}"`);
    });
  }

  it('changes nothing when it throws', () => {
    expect(
      simulation.history.lines.filter((line) => / (stops|does not reach|is cut)/.test(line)),
    ).to.deep.equal([]);
    expect(simulation.node(8).processes).to.deep.equal([]);
  });

  it('refuses new processes and faults once it is closed', async () => {
    const closed = new Simulation();
    const node = closed.node(1);
    closed.node(2);
    await closed.close();
    for (const call of [
      () => closed.stop(),
      () => closed.resume(),
      () => closed.partition(1, 2),
      () => closed.heal(1, 2),
      () => node.loseQuorum(),
      () => node.release('test'),
      () => node.spawn(),
    ]) {
      expect(call, call.toString()).to.throw().that.includes({ code: 'ERR_DLM_SIMULATION_CLOSED' });
    }
  });

  it('lets a node have one program, and be made once', () => {
    simulation.node(5, { program: () => undefined });
    expect(simulation.node(5).number).to.equal(5);
    expect(() => simulation.node(5, { program: () => undefined }))
      .to.throw()
      .that.includes({ code: 'ERR_DLM_SIMULATION_NODE' });
    expect(() => simulation.node(5).start())
      .to.throw()
      .that.includes({ code: 'ERR_DLM_SIMULATION_NODE' });
  });
});
