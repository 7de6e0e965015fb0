/** A stack of the emulation whose clock and notices are the test's. */
import {
  createEmulatedUserPlugin,
  createO2cbPlugin,
  type StackConnection,
  type ClusterNotice,
  type StackClock,
  type StackPlugin,
} from '../../lib/glue.js';

/** Time that goes on when it is told to. */
export class ManualClock implements StackClock {
  #now = 0;
  #last = 0;
  readonly #timers = new Map<number, { at: number; callback: () => void }>();

  now(): number {
    return this.#now;
  }

  setTimeout(callback: () => void, ms: number): number {
    this.#last += 1;
    this.#timers.set(this.#last, { at: this.#now + ms, callback });
    return this.#last;
  }

  clearTimeout(timer: unknown): void {
    this.#timers.delete(timer as number);
  }

  random(): number {
    return Math.random();
  }

  /** How many timers have not gone off. */
  get pending(): number {
    return this.#timers.size;
  }

  /** What is due by then goes off. */
  advance(ms: number): void {
    this.#now += ms;
    for (const [timer, { at, callback }] of [...this.#timers]) {
      if (at <= this.#now && this.#timers.delete(timer)) callback();
    }
  }
}

/** A plugin, and what to do to whom it serves. */
export interface ScriptedStack {
  readonly plugin: StackPlugin;
  readonly clock: ManualClock;
  /** Tells its last connection. */
  notice(notice: ClusterNotice): void;
}

export function scriptedStack(
  stack: 'o2cb' | 'user',
  node: number,
  cluster: string,
): ScriptedStack {
  const inner =
    stack === 'o2cb'
      ? createO2cbPlugin({ node, cluster })
      : createEmulatedUserPlugin({ node, cluster });
  const clock = new ManualClock();
  let last: StackConnection | undefined;
  const plugin: StackPlugin = {
    ...inner,
    clock,
    operations: {
      ...inner.operations,
      async connect(connection) {
        last = connection;
        await inner.operations.connect(connection);
      },
    },
  };
  return { plugin, clock, notice: (notice) => last?.notice(notice) };
}
