/** One history from one seed, and the way back from a history to what happened. */
import { expect } from 'chai';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { History, replay, Simulation, SimulationError } from '../../lib/simulator/index.js';
import { failureOf, PROFILES } from './support.js';
import { storm, stormHistory } from './storm.js';

const run = promisify(execFile);
const stormProgram = fileURLToPath(new URL('./storm.js', import.meta.url));

for (const profile of PROFILES) {
  describe(`history of a simulation, profile ${profile}`, () => {
    it('is the same for the same seed, and another for another', async () => {
      const history = await stormHistory(5, profile);
      expect(await stormHistory(5, profile)).to.equal(history);
      expect(await stormHistory(6, profile)).not.to.equal(history);
      expect(history.split('\n').length).to.be.above(100);
    });

    it('is the same in another process', async () => {
      const { stdout } = await run(process.execPath, [stormProgram, '7', profile]);
      expect(stdout).to.equal(await stormHistory(7, profile));
    });

    it('is the same when nodes live in worker threads', async () => {
      const history = await stormHistory(8, profile);
      expect(await stormHistory(8, profile, [1, 3])).to.equal(history);
    });

    it('is followed by a replay of its text', async () => {
      const text = await stormHistory(9, profile);
      await replay(text, (simulation) => storm(simulation));
      // Whatever an editor or a log has done to the ends of its lines.
      await replay(text.replaceAll('\n', ' \r\n'), (simulation) => storm(simulation));
    });

    it('makes its choices again without the generator that made them', async () => {
      // No seed would choose so.
      const text = (await stormHistory(10, profile)).replace(/seed 10,/, 'seed 11,');
      const simulation = new Simulation({ replay: text });
      await simulation.run(() => storm(simulation));
      simulation.checkReplayed();
      expect(simulation.seed).to.equal(11);
      expect(simulation.history.toString()).to.equal(text);
      await simulation.close();
    });
  });
}

describe('history of a simulation', () => {
  it('is what it was with the first release of its format', async () => {
    // A change here means that seeds of users show something else: say so in the changelog.
    const hash = createHash('sha256')
      .update(await stormHistory(1, 'o2dlm'))
      .digest('hex');
    expect(hash).to.equal('209cfb9bedc0c8753038dc7cfb758054405059187e500371e61695350b7306a2');
  });

  it('names the line at which a replay of another program leaves it', async () => {
    const program = async (simulation: Simulation, ms: number): Promise<void> => {
      simulation.note('begins');
      await simulation.sleep(ms);
    };
    const simulation = new Simulation({ seed: 3 });
    await simulation.run(() => program(simulation, 5));
    const { history } = simulation;
    await replay(history, (again) => program(again, 5));
    const error = await failureOf(replay(history, (again) => program(again, 6)));
    expect(error).to.be.an.instanceOf(SimulationError);
    expect(error).to.include({ code: 'ERR_DLM_SIMULATION_DIVERGED', seed: 3 });
    expect(error.message).to.match(/line 3/);
    expect(error.message).to.match(/history: 0\.005000 - timer 1\n {2}replay: {2}0\.006000/);
  });

  it('tells of a replay that ends early, and of one that goes on', async () => {
    const simulation = new Simulation();
    await simulation.run(() => {
      simulation.note('one');
      simulation.note('two');
    });
    const { history } = simulation;
    const early = await failureOf(replay(history, (again) => again.note('one')));
    expect(early).to.include({ code: 'ERR_DLM_SIMULATION_DIVERGED' });
    const late = await failureOf(
      replay(history, (again) => {
        for (const text of ['one', 'two', 'three']) again.note(text);
      }),
    );
    expect(late.message).to.match(/ends before/);
  });

  it('is for people, too: short, and without what chance chose', async () => {
    const simulation = new Simulation({ seed: 2 });
    await simulation.run(() => {
      simulation.node(1).context.random();
      simulation.node(1).context.note('a "note"\n');
    });
    const { history } = simulation;
    expect(history.lines[1]).to.match(/^0\.000000 n1 starts {2}\[\d+\]$/);
    expect(history.tail(2)).to.equal(
      '... (1 lines before)\n0.000000 n1 starts\n0.000000 n1 "a \\x22note\\x22\\x0a"',
    );
    expect(new History(history.toString()).lines).to.deep.equal(history.lines);
  });

  it('is not read from a text that is none', () => {
    expect(() => new History('a text\n'))
      .to.throw()
      .that.includes({
        code: 'ERR_DLM_SIMULATION_HISTORY',
      });
    expect(() => new Simulation({ replay: '' }))
      .to.throw()
      .that.includes({ code: 'ERR_DLM_SIMULATION_HISTORY' });
  });
});
