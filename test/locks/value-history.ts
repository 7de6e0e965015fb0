/**
 * Programs that write values and read them while nodes fail, and the history that says what they must read: of all
 * completed writes of a name the last one, if the value is called fresh. It knows nothing of blocks, flags
 * or recovery.
 */
import { DlmError, type Lock, type Lockspace, type Mode } from '../../lib/index.js';
import type { NodeContext, SimulatedProcess, Simulation } from '../../lib/simulator/index.js';
import { openAgain } from './open-again.js';

const LOCKSPACE = 'values';
const NAMES = ['a', 'b'];
const WORKERS = 2;
const ROUNDS = 8;
/** Failures that a program has to expect; the last one is what is called in a node that goes down. */
const EXPECTED: readonly string[] = [
  'ERR_DLM_TIMEOUT',
  'ERR_DLM_LOST',
  'ERR_DLM_DEADLOCK',
  'ERR_DLM_SIMULATION_NODE',
];

/** How often what was seen. */
export interface ValueTally {
  fresh: number;
  unwritten: number;
  invalid: number;
  written: number;
  /** Of a write nobody knows whether it has come through. */
  unknown: number;
}

export const newValueTally = (): ValueTally => ({
  fresh: 0,
  unwritten: 0,
  invalid: 0,
  written: 0,
  unknown: 0,
});

/** What has been written to one name. */
class NameHistory {
  #last = 0;
  /** Begun after the last one, in their order, and not known to have ended. */
  #begun: number[] = [];
  /** What has been called invalid since, and how many departures there had been by then. */
  readonly #doubted = new Map<number, number>();

  begin(id: number): void {
    this.#begun.push(id);
  }

  /** Its program hears of the end; others may have read it before, and written since. */
  end(id: number): void {
    const at = this.#begun.indexOf(id);
    if (at < 0) return;
    this.#last = id;
    this.#begun.splice(0, at + 1);
    this.#doubted.clear();
  }

  doubt(id: number, departures: number): void {
    if (!this.#doubted.has(id)) this.#doubted.set(id, departures);
  }

  /** Somebody reads, so nobody can be writing: what has not come through by now does not any more. */
  read(id: number, who: string, departures: number): void {
    // A flag goes with the master, where somebody is left who has read what was flagged (VALUES.md).
    const isForgotten = departures > (this.#doubted.get(id) ?? Infinity);
    const isWritten = id === this.#last || this.#begun.includes(id);
    if (id === 0 || (!isWritten && !isForgotten)) {
      const begun = this.#begun.join(', ');
      throw new Error(
        `${who} reads ${id} as fresh, after ${this.#last} was written (begun: ${begun})`,
      );
    }
    this.#last = id;
    this.#begun = [];
  }
}

/** What programs write to names and read there. What is wrong it throws. */
export class ValueHistory {
  readonly #names = new Map<string, NameHistory>();
  readonly #tally: ValueTally;
  readonly #departures: () => number;
  /** What was read last of each, or written by it. */
  readonly #seen = new WeakMap<Lock, number>();
  #lastId = 0;

  /** `departures` tells how many nodes are known to have died or left. */
  constructor(tally: ValueTally, departures: () => number = () => 0) {
    this.#tally = tally;
    this.#departures = departures;
  }

  /** Puts into the value what nobody has written before. */
  change(lock: Lock): void {
    lock.value.writeUInt32LE((this.#lastId += 1));
  }

  /** Does what writes the value where it was changed. */
  async writing(lock: Lock, name: string, write: () => Promise<void>): Promise<void> {
    const id = lock.value.readUInt32LE();
    const writes = lock.mode === 'EX' || lock.mode === 'PW';
    const isNew = writes && lock.held && id !== this.#seen.get(lock);
    if (isNew) this.#of(name).begin(id);
    try {
      await write();
    } catch (error) {
      if (isNew) this.#tally.unknown += 1;
      throw error;
    }
    if (!isNew) return;
    this.#tally.written += 1;
    this.#seen.set(lock, id);
    this.#of(name).end(id);
  }

  /** What has been read by a grant. */
  look(lock: Lock, name: string, who: string): void {
    const id = lock.value.readUInt32LE();
    this.#seen.set(lock, id);
    const { valueState } = lock;
    if (valueState === 'stale') return;
    this.#tally[valueState] += 1;
    if (valueState === 'fresh') this.#of(name).read(id, who, this.#departures());
    if (valueState === 'invalid') this.#of(name).doubt(id, this.#departures());
  }

  #of(name: string): NameHistory {
    const known = this.#names.get(name);
    if (known !== undefined) return known;
    const history = new NameHistory();
    this.#names.set(name, history);
    return history;
  }
}

class Worker {
  constructor(
    readonly node: NodeContext,
    readonly title: string,
    readonly lockspace: Lockspace,
    readonly values: ValueHistory,
  ) {}

  async work(): Promise<void> {
    for (let round = 0; round < ROUNDS; round += 1) {
      try {
        await this.#once();
      } catch (error) {
        if (!isExpected(error)) throw error;
      }
      await this.node.sleep(this.#below(4));
    }
  }

  #below(limit: number): number {
    return Math.floor(this.node.random() * limit);
  }

  async #once(): Promise<void> {
    const name = NAMES[this.#below(NAMES.length)] ?? 'a';
    const mode: Mode = (['EX', 'EX', 'PR', 'NL'] as const)[this.#below(4)] ?? 'EX';
    const lock = await this.lockspace.lock(name, mode, { value: true, timeoutMs: 50 });
    try {
      this.values.look(lock, name, this.title);
      for (let step = this.#below(4); step > 0; step -= 1) await this.#step(lock, name);
    } finally {
      await this.values.writing(lock, name, () => lock.release());
    }
  }

  async #step(lock: Lock, name: string): Promise<void> {
    const { values } = this;
    await this.node.sleep(this.#below(3));
    if (lock.mode === 'EX') {
      switch (this.#below(4)) {
        case 0:
          // It writes what is the same, too.
          values.change(lock);
          return values.writing(lock, name, () => lock.writeValue());
        case 1:
          return values.writing(lock, name, () => lock.convert('PR'));
        case 2:
          return values.writing(lock, name, () => lock.convert('NL'));
        default:
          values.change(lock);
          return undefined;
      }
    }
    const to: Mode = lock.mode === 'NL' && this.#below(2) === 0 ? 'PR' : 'EX';
    await lock.convert(to, { timeoutMs: 30 });
    values.look(lock, name, this.title);
  }
}

async function startProgram(node: NodeContext, title: string, values: ValueHistory) {
  const lockspace = await openAgain(LOCKSPACE, node, () => undefined);
  // In one program of three, so that values outlive their users sometimes.
  const pins = node.random() < 1 / 3 ? NAMES.map((name) => lockspace.pin(name)) : [];
  for (const outcome of await Promise.allSettled(pins)) throwUnlessExpected(outcome);
  const workers = Array.from({ length: WORKERS }, () => new Worker(node, title, lockspace, values));
  return {
    ready: () => undefined,
    work: () => Promise.all(workers.map((worker) => worker.work())).then(() => undefined),
  };
}

/** Writes and reads, while everything fails. */
export async function writeAndRead(simulation: Simulation, tally: ValueTally): Promise<void> {
  const values = new ValueHistory(tally);
  const start = (context: NodeContext, title: string) => startProgram(context, title, values);
  const nodes = [1, 2, 3].map((number) =>
    simulation.node(number, { program: (context) => start(context, `node ${number}`) }),
  );
  const processes: SimulatedProcess[] = nodes
    .slice(0, 2)
    .map((node) => node.spawn({ program: (context) => start(context, `beside ${node.number}`) }));
  const programs = [...nodes, ...processes];
  await Promise.all(programs.map((program) => program.call('ready')));
  simulation.chaos({
    kills: 2,
    pairs: 1,
    stops: 1,
    processEnds: 2,
    releases: 1,
    groups: [LOCKSPACE],
    withinMs: 40,
    lengthMs: [5, 2000],
  });
  const works = await Promise.allSettled(programs.map((program) => program.call('work')));
  for (const outcome of works) throwUnlessExpected(outcome);
}

function throwUnlessExpected(outcome: PromiseSettledResult<unknown>): void {
  if (outcome.status === 'rejected' && !isExpected(outcome.reason)) throw outcome.reason;
}

function isExpected(error: unknown): boolean {
  return error instanceof DlmError && EXPECTED.includes(error.code);
}
