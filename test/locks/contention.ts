/**
 * Programs that use locks with promises in all ways while nodes fail, and what must hold: no two holders whose
 * modes do not go together, and nothing left behind.
 */
import { DlmError, openLockspace, type Lock, type Lockspace, type Mode } from '../../lib/index.js';
import type { NodeContext, Simulation } from '../../lib/simulator/index.js';
import { atRest } from './worlds.js';

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

/** What a life of a node takes for held. */
interface Hold {
  readonly life: NodeContext;
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
}

export const newTally = (): Tally => ({
  granted: 0,
  busy: 0,
  timeout: 0,
  aborted: 0,
  lost: 0,
  converted: 0,
});

/** Who holds what, as the programs see it; throws when two do that must not. */
class Oracle {
  readonly #holds = new Set<Hold>();
  readonly #simulation: Simulation;

  constructor(simulation: Simulation) {
    this.#simulation = simulation;
  }

  take(life: NodeContext, name: string, mode: Mode): Hold {
    const hold: Hold = { life, name, mode };
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
      if (other === hold || other.name !== hold.name || !this.#lives(other.life)) continue;
      if (TOGETHER[hold.mode]?.includes(other.mode) === true) continue;
      throw new Error(
        `node ${hold.life.number} has ${hold.mode} on "${hold.name}" beside ${other.mode} of node ${other.life.number}`,
      );
    }
  }

  #lives(life: NodeContext): boolean {
    const node = this.#simulation.node(life.number);
    return node.state !== 'down' && node.context === life;
  }
}

/** One worker of one life. */
class Worker {
  constructor(
    readonly node: NodeContext,
    readonly lockspace: Lockspace,
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

  async #once(): Promise<void> {
    const [name, mode] = [this.#name(), this.#mode()];
    switch (this.#below(6)) {
      case 0:
        return this.#hold(await this.lockspace.lock(name, mode), name);
      case 1:
        return this.#hold(
          await this.lockspace.lock(name, mode, { timeoutMs: this.#below(8) }),
          name,
        );
      case 2:
        return this.#hold(await this.lockspace.lock(name, mode, { signal: this.#signal() }), name);
      case 3: {
        const lock = await this.lockspace.tryLock(name, mode, { timeoutMs: this.#below(4) });
        if (lock !== null) return this.#hold(lock, name);
        this.tally.busy += 1;
        return undefined;
      }
      case 4:
        return this.lockspace.using(name, mode, async (lock) => {
          const hold = this.oracle.take(this.node, name, lock.mode);
          await this.#pause();
          this.oracle.drop(hold);
        });
      default: {
        const names = ['c', 'a'];
        const set = await this.lockspace.lockAll(names, mode, { timeoutMs: this.#below(20) });
        const holds = names.map((each) => this.oracle.take(this.node, each, mode));
        await this.#pause();
        for (const hold of holds) this.oracle.drop(hold);
        return set.release();
      }
    }
  }

  async #hold(lock: Lock, name: string): Promise<void> {
    this.tally.granted += 1;
    const hold = this.oracle.take(this.node, name, lock.mode);
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
    const limit = this.#below(2) === 0 ? { timeoutMs: this.#below(8) } : { signal: this.#signal() };
    await lock.convert('EX', limit);
    this.tally.converted += 1;
    this.oracle.change(hold, 'EX');
    await this.#pause();
  }
}

/** Everything at once, and then a look at what is left. */
export async function contend(simulation: Simulation, tally: Tally): Promise<void> {
  const oracle = new Oracle(simulation);
  const program = async (node: NodeContext) => {
    const lockspace = await openLockspace('contention', { stack: node.plugin });
    return {
      ready: () => undefined,
      work: () =>
        Promise.all(
          Array.from({ length: WORKERS }, () => new Worker(node, lockspace, oracle, tally).work()),
        ).then(() => undefined),
      async check() {
        await atRest(lockspace);
        for (const name of NAMES) await (await lockspace.lock(name, 'EX')).release();
        if (lockspace.withdrawals !== 0) throw new Error('something is being taken back');
      },
    };
  };
  const nodes = NODES.map((number) => simulation.node(number, { program }));
  // How versions are agreed on when members die meanwhile is for test/simulator/version-lock.
  await Promise.all(nodes.map((node) => node.call('ready')));
  simulation.chaos({ withinMs: 40, lengthMs: [5, 4000] });
  const works = nodes.map((node) => node.call('work'));
  for (const outcome of await Promise.allSettled(works)) throwUnlessDown(outcome);
  await simulation.sleep(10_000);
  for (const node of nodes) throwUnlessDown(await settled(node.call('check')));
}

async function settled(promise: Promise<unknown>): Promise<PromiseSettledResult<unknown>> {
  const [outcome] = await Promise.allSettled([promise]);
  return outcome;
}

/** A node that goes down answers nothing more. */
function throwUnlessDown(outcome: PromiseSettledResult<unknown>): void {
  if (outcome.status === 'fulfilled') return;
  const { reason } = outcome as { reason: unknown };
  if (reason instanceof DlmError && reason.code === 'ERR_DLM_SIMULATION_NODE') return;
  throw reason;
}
