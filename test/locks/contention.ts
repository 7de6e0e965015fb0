/**
 * Programs that use locks with promises in all ways while nodes fail, and what must hold: no two holders whose
 * modes do not go together, and nothing left behind.
 */
import {
  DlmError,
  type Lock,
  type Lockspace,
  type Mode,
  type WaitOptions,
} from '../../lib/index.js';
import type {
  NodeContext,
  SimulatedNode,
  SimulatedProcess,
  Simulation,
} from '../../lib/simulator/index.js';
import { openAgain } from './open-again.js';
import { atRest } from './worlds.js';

const LOCKSPACE = 'contention';
const NAMES = ['a', 'b', 'c'];
const NODES = [1, 2, 3];
const WORKERS = 2;
const ROUNDS = 6;

/** Which modes go together, of those that all stacks have. */
const TOGETHER: Partial<Record<Mode, readonly Mode[]>> = {
  NL: ['NL', 'PR', 'EX'],
  PR: ['NL', 'PR'],
  EX: ['NL'],
};

/** Failures that a program has to expect. */
const EXPECTED: readonly string[] = ['ERR_DLM_TIMEOUT', 'ERR_DLM_LOST', 'ERR_DLM_DEADLOCK'];
const ABORTED = new Error('aborted');

/** A program in a life of a node, or in a process beside it. */
interface Program {
  readonly title: string;
  readonly lockspace: Lockspace;
  readonly findsDeadlocks: boolean;
  /** Whether it can do harm with what it takes for held. */
  runs(): boolean;
}

/** What a program takes for held. */
interface Hold {
  readonly program: Program;
  readonly name: string;
  mode: Mode;
}

/** How often what was seen. */
export interface Tally {
  granted: number;
  busy: number;
  timeout: number;
  aborted: number;
  lost: number;
  converted: number;
  stopped: number;
  unsure: number;
  ended: number;
  /** Opens that were tried anew. */
  reopened: number;
  /** Where the lock manager finds them. */
  deadlock: number;
}

export const newTally = (): Tally => ({
  granted: 0,
  busy: 0,
  timeout: 0,
  aborted: 0,
  lost: 0,
  converted: 0,
  stopped: 0,
  unsure: 0,
  ended: 0,
  reopened: 0,
  deadlock: 0,
});

/** Who holds what, as the programs see it; throws when two do that must not. */
class Oracle {
  readonly #holds = new Set<Hold>();

  take(program: Program, name: string, mode: Mode): Hold {
    const hold: Hold = { program, name, mode };
    this.#check(hold);
    this.#holds.add(hold);
    return hold;
  }

  change(hold: Hold, mode: Mode): void {
    hold.mode = mode;
    this.#check(hold);
  }

  drop(hold: Hold): void {
    this.#holds.delete(hold);
  }

  #check(hold: Hold): void {
    for (const other of this.#holds) {
      if (other === hold || other.name !== hold.name || !other.program.runs()) continue;
      if (other.program.lockspace.health.state === 'lost') continue;
      if (TOGETHER[hold.mode]?.includes(other.mode) === true) continue;
      throw new Error(
        `${hold.program.title} has ${hold.mode} on "${hold.name}" beside ${other.mode} of ${other.program.title}`,
      );
    }
  }
}

/** One worker of a program. */
class Worker {
  constructor(
    readonly node: NodeContext,
    readonly program: Program,
    readonly oracle: Oracle,
    readonly tally: Tally,
  ) {}

  async work(): Promise<void> {
    for (let round = 0; round < ROUNDS; round += 1) {
      try {
        await this.#once();
      } catch (error) {
        if (error === ABORTED) this.tally.aborted += 1;
        else if (!(error instanceof DlmError) || !EXPECTED.includes(error.code)) throw error;
        else if (error.code === 'ERR_DLM_TIMEOUT') this.tally.timeout += 1;
        else if (error.code === 'ERR_DLM_LOST') this.tally.lost += 1;
        else this.tally.deadlock += 1;
      }
      await this.#pause();
    }
  }

  #below(limit: number): number {
    return Math.floor(this.node.random() * limit);
  }

  #pause(): Promise<void> {
    return this.node.sleep(this.#below(4));
  }

  #name(): string {
    return NAMES[this.#below(NAMES.length)] ?? 'a';
  }

  #mode(): Mode {
    return this.#below(3) === 0 ? 'PR' : 'EX';
  }

  /** A signal that is aborted some time, of the simulation's. */
  #signal(): AbortSignal {
    const controller = new AbortController();
    this.node.setTimeout(() => controller.abort(ABORTED), this.#below(6));
    return controller.signal;
  }

  /** Of a conversion up, which may wait for ever where nobody finds that out. */
  #limit(): WaitOptions {
    const kind = this.#below(3);
    if (kind === 0) return { timeoutMs: this.#below(8) };
    return kind === 1 || !this.program.findsDeadlocks ? { signal: this.#signal() } : {};
  }

  async #once(): Promise<void> {
    const [name, mode] = [this.#name(), this.#mode()];
    switch (this.#below(6)) {
      case 0:
        return this.#hold(await this.program.lockspace.lock(name, mode), name);
      case 1:
        return this.#hold(
          await this.program.lockspace.lock(name, mode, { timeoutMs: this.#below(8) }),
          name,
        );
      case 2:
        return this.#hold(
          await this.program.lockspace.lock(name, mode, { signal: this.#signal() }),
          name,
        );
      case 3: {
        const lock = await this.program.lockspace.tryLock(name, mode, {
          timeoutMs: this.#below(4),
        });
        if (lock !== null) return this.#hold(lock, name);
        this.tally.busy += 1;
        return undefined;
      }
      case 4:
        return this.program.lockspace.using(name, mode, async (lock) => {
          const hold = this.oracle.take(this.program, name, lock.mode);
          await this.#pause();
          this.oracle.drop(hold);
        });
      default: {
        const names = ['c', 'a'];
        const set = await this.program.lockspace.lockAll(names, mode, {
          timeoutMs: this.#below(20),
        });
        const holds = names.map((each) => this.oracle.take(this.program, each, mode));
        await this.#pause();
        for (const hold of holds) this.oracle.drop(hold);
        return set.release();
      }
    }
  }

  async #hold(lock: Lock, name: string): Promise<void> {
    this.tally.granted += 1;
    const hold = this.oracle.take(this.program, name, lock.mode);
    try {
      await this.#pause();
      if (this.#below(3) === 0) await this.#convert(lock, hold);
    } finally {
      this.oracle.drop(hold);
      // Sometimes in the middle of what is being taken back.
      await lock.release();
    }
  }

  async #convert(lock: Lock, hold: Hold): Promise<void> {
    if (lock.mode === 'EX') {
      const mode: Mode = this.#below(2) === 0 ? 'PR' : 'NL';
      this.oracle.change(hold, mode);
      await lock.convert(mode);
      this.tally.converted += 1;
      return;
    }
    await lock.convert('EX', this.#limit());
    this.tally.converted += 1;
    this.oracle.change(hold, 'EX');
    await this.#pause();
  }
}

/** What is called in a program. */
type Called = Pick<SimulatedNode | SimulatedProcess, 'call'>;

/** What runs on nodes and in processes beside. `runs` is asked of that one life. */
async function startProgram(
  node: NodeContext,
  title: string,
  runs: () => boolean,
  oracle: Oracle,
  tally: Tally,
) {
  const lockspace = await openAgain(LOCKSPACE, node, () => (tally.reopened += 1));
  const program: Program = { title, lockspace, findsDeadlocks: node.plugin.name === 'user', runs };
  lockspace.on('health', ({ state }) => {
    if (state === 'stopped' || state === 'unsure') tally[state] += 1;
  });
  return {
    work: () =>
      Promise.all(
        Array.from({ length: WORKERS }, () => new Worker(node, program, oracle, tally).work()),
      ).then(() => undefined),
    async check() {
      await atRest(lockspace);
      if (lockspace.health.state === 'lost') return;
      for (const name of NAMES) await (await lockspace.lock(name, 'EX')).release();
      // All that had begun is over.
      if (lockspace.health.state !== 'ok') throw new Error(`${title}: ${lockspace.health.reason}`);
      if (lockspace.withdrawals !== 0) throw new Error('something is being taken back');
    },
  };
}

/** Everything at once, and then a look at what is left. */
export async function contend(simulation: Simulation, tally: Tally): Promise<void> {
  const oracle = new Oracle();
  const nodes = NODES.map((number) =>
    simulation.node(number, {
      program: (context) => {
        const node = simulation.node(number);
        const runs = (): boolean => node.state !== 'down' && node.context === context;
        return startProgram(context, `node ${number}`, runs, oracle, tally);
      },
    }),
  );
  const processes = nodes.slice(0, 2).map((node) => {
    const process: SimulatedProcess = node.spawn({
      program: (context) => {
        const runs = (): boolean => process.state === 'running';
        return startProgram(context, `a process of node ${node.number}`, runs, oracle, tally);
      },
    });
    return process;
  });
  const programs: readonly Called[] = [...nodes, ...processes];
  simulation.chaos({
    pairs: 1,
    stops: 1,
    quorumLosses: 1,
    daemonLosses: 1,
    releases: 1,
    groups: [LOCKSPACE],
    processEnds: 1,
    withinMs: 40,
    lengthMs: [5, 4000],
  });
  const works = programs.map((program) => program.call('work'));
  for (const outcome of await Promise.allSettled(works)) throwUnlessDown(outcome, tally);
  await simulation.sleep(10_000);
  for (const program of programs) throwUnlessDown(await settled(program.call('check')), tally);
}

async function settled(promise: Promise<unknown>): Promise<PromiseSettledResult<unknown>> {
  const [outcome] = await Promise.allSettled([promise]);
  return outcome;
}

/** A node that goes down answers nothing more, nor does a process that ends. */
function throwUnlessDown(outcome: PromiseSettledResult<unknown>, tally: Tally): void {
  if (outcome.status === 'fulfilled') return;
  const { reason } = outcome as { reason: unknown };
  if (!(reason instanceof DlmError && reason.code === 'ERR_DLM_SIMULATION_NODE')) throw reason;
  tally.ended += 1;
}
