/**
 * What reference.c does, in JavaScript on stack `user`, by the glue's public calls: joins a lockspace
 * and says {"ready":true}; then for each line on standard input it does one thing and answers with a
 * line of JSON. The lines are those of reference.c, and one more:
 *
 *     memory    collects garbage (this takes --expose-gc) -> {"rss":BYTES,"heap":BYTES}
 *
 * Arguments: the lockspace's name, and the options of `createUserPlugin` as JSON.
 */
import { DLM_LKF, DLM_LOCK, DlmLksb, type LockMode } from '../../lib/glue.js';
import { Measurement, type Slot } from './measurement.js';
import { connection, expectAccepted, expectGranted, glue, serve, type Asker } from './service.js';

/** Locks that are asked for at once while many are taken to be held; reference.c has the same. */
const HOLD_DEPTH = 64;

const { NL, EX } = DLM_LOCK;
const { CONVERT } = DLM_LKF;

/** A lock that is asked for again and again. */
abstract class LockingSlot implements Asker, Slot {
  readonly lksb = new DlmLksb();
  readonly name: string;
  readonly measurement: Measurement;

  constructor(name: string, measurement: Measurement) {
    this.name = name;
    this.measurement = measurement;
  }

  abstract start(): void;
  abstract granted(): void;
  abstract unlocked(): void;

  lock(mode: LockMode, flags = 0): void {
    expectAccepted(glue.dlmLock(connection, mode, this.lksb, flags, this.name, this));
  }

  unlock(): void {
    expectAccepted(glue.dlmUnlock(connection, this.lksb, 0));
  }
}

/** Locks in EX, unlocks, and again. */
class LockSlot extends LockingSlot {
  start(): void {
    this.lock(EX);
  }

  granted(): void {
    expectGranted(this.lksb);
    this.unlock();
  }

  unlocked(): void {
    const { measurement } = this;
    measurement.countOperation();
    if (measurement.stopping) measurement.rest();
    else this.lock(EX);
  }
}

/** Holds NL, converts to EX, and back. */
class ConvertSlot extends LockingSlot {
  #mode: LockMode = NL;
  /** Whether what completes is an operation of the measurement. */
  #isMeasured = false;

  prepare(): void {
    this.lock(NL);
  }

  start(): void {
    this.#isMeasured = true;
    this.#convert();
  }

  granted(): void {
    expectGranted(this.lksb);
    const { measurement } = this;
    if (this.#isMeasured) measurement.countOperation();
    if (!this.#isMeasured || measurement.stopping) measurement.rest();
    else this.#convert();
  }

  unlocked(): void {
    this.measurement.rest();
  }

  #convert(): void {
    this.#mode = this.#mode === NL ? EX : NL;
    this.lock(this.#mode, CONVERT);
  }
}

async function run(
  kind: string,
  prefix: string,
  depth: number,
  { seconds = Infinity, operations = Infinity },
): Promise<object> {
  const measurement = new Measurement(operations);
  const names = Array.from({ length: depth }, (_, index) => `${prefix}${index}`);
  let elapsed: number;
  if (kind === 'convert') {
    const slots = names.map((name) => new ConvertSlot(name, measurement));
    await measurement.forAll(slots, (slot) => slot.prepare());
    elapsed = await measurement.run(slots, seconds);
    await measurement.forAll(slots, (slot) => slot.unlock());
  } else {
    elapsed = await measurement.run(
      names.map((name) => new LockSlot(name, measurement)),
      seconds,
    );
  }
  return { operations: measurement.operations, seconds: elapsed };
}

const held: DlmLksb[] = [];

function hold(prefix: string, count: number): Promise<object> {
  return new Promise((resolve) => {
    let granted = held.length;
    const holder: Asker = {
      granted() {
        granted += 1;
        if (granted === count) {
          held.forEach(expectGranted);
          resolve({ held: count });
        } else if (held.length < count) {
          next();
        }
      },
      unlocked: () => undefined,
    };
    const next = (): void => {
      const lksb = new DlmLksb();
      const name = `${prefix}${held.length}`;
      held.push(lksb);
      expectAccepted(glue.dlmLock(connection, NL, lksb, 0, name, holder));
    };
    for (let i = 0; i < HOLD_DEPTH && held.length < count; i++) next();
  });
}

function memory(): object {
  if (globalThis.gc === undefined) throw new Error('start this program with --expose-gc');
  globalThis.gc();
  const { rss, heapUsed } = process.memoryUsage();
  return { rss, heap: heapUsed };
}

function execute([command, ...words]: string[]): Promise<object> | object {
  switch (command) {
    case 'run': {
      const [kind = '', prefix = '', depth, seconds] = words;
      return run(kind, prefix, Number(depth), { seconds: Number(seconds) });
    }
    case 'do': {
      const [kind = '', prefix = '', depth, operations] = words;
      return run(kind, prefix, Number(depth), { operations: Number(operations) });
    }
    case 'hold': {
      const [prefix = '', count] = words;
      return hold(prefix, Number(count));
    }
    case 'memory':
      return memory();
    default:
      throw new Error(`not a command: ${command ?? ''}`);
  }
}

await serve(execute);
