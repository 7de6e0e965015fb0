/**
 * What javascript.ts does by the glue's calls, by locks with promises, as a program writes it: opens a
 * lockspace and says {"ready":true}; then does what lines of standard input say. They are two of
 * javascript.ts's: `run lock PREFIX DEPTH SECONDS` and `do lock PREFIX DEPTH OPERATIONS`.
 *
 * Arguments: the lockspace's name, and options of `openLockspace` as JSON.
 */
import { openLockspace, type LockspaceOptions } from '../../lib/index.js';
import { Measurement, type Slot } from './measurement.js';
import { obey } from './obey.js';

const [name = '', options = '{}'] = process.argv.slice(2);
const lockspace = await openLockspace(name, {
  stack: 'user',
  ...(JSON.parse(options) as Partial<LockspaceOptions>),
});

/** Locks in EX, releases, and again. */
class LockSlot implements Slot {
  readonly #name: string;
  readonly #measurement: Measurement;

  constructor(name: string, measurement: Measurement) {
    this.#name = name;
    this.#measurement = measurement;
  }

  start(): void {
    void this.#work();
  }

  async #work(): Promise<void> {
    const measurement = this.#measurement;
    while (!measurement.stopping) {
      const lock = await lockspace.lock(this.#name, 'EX');
      await lock.release();
      measurement.countOperation();
    }
    measurement.rest();
  }
}

async function run(
  [work, prefix = '', depth]: string[],
  { seconds = Infinity, operations = Infinity },
): Promise<object> {
  if (work !== 'lock') throw new Error(`not a kind of work: ${work ?? ''}`);
  const measurement = new Measurement(operations);
  const slots = Array.from(
    { length: Number(depth) },
    (_, index) => new LockSlot(`${prefix}${index}`, measurement),
  );
  const elapsed = await measurement.run(slots, seconds);
  return { operations: measurement.operations, seconds: elapsed };
}

await obey(([command, ...words]) => {
  const amount = Number(words[3]);
  switch (command) {
    case 'run':
      return run(words, { seconds: amount });
    case 'do':
      return run(words, { operations: amount });
    default:
      throw new Error(`not a command: ${command ?? ''}`);
  }
});
await lockspace.close();
