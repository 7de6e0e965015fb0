/** A node of the demo as the story has it: its thread, and what that has told. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';

import type { Command, ServiceData, ServiceEvent } from './messages.js';

type EventOf<Kind extends ServiceEvent['kind']> = Extract<ServiceEvent, { kind: Kind }>;

export class NodeThread {
  readonly number: number;
  readonly #gate = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  readonly #worker: Worker;
  readonly #waiting = new Map<string, (event: ServiceEvent) => void>();
  readonly #failed: Promise<never>;

  /** Starts it. `tell` is called with all that it tells, before whoever waits for that goes on. */
  constructor(options: Omit<ServiceData, 'gate'>, tell: (event: ServiceEvent) => void) {
    this.number = options.node;
    const data: ServiceData = { ...options, gate: this.#gate };
    this.#worker = new Worker(new URL('service.js', import.meta.url), { workerData: data });
    this.#failed = new Promise((_resolve, reject) => this.#worker.on('error', reject));
    this.#failed.catch(() => undefined); // told to who waits
    this.#worker.on('message', (event: ServiceEvent) => {
      tell(event);
      this.#waiting.get(event.kind)?.(event);
    });
  }

  /** Resolves when it tells that next. */
  next<Kind extends ServiceEvent['kind']>(kind: Kind): Promise<EventOf<Kind>> {
    const told = new Promise<EventOf<Kind>>((resolve) =>
      this.#waiting.set(kind, (event) => resolve(event as EventOf<Kind>)),
    );
    return Promise.race([told, this.#failed]);
  }

  say(command: Command): void {
    this.#worker.postMessage(command);
  }

  /** Lets it go on that stands still. */
  wake(): void {
    Atomics.store(this.#gate, 0, 1);
    Atomics.notify(this.#gate, 0);
  }

  /** Has it leave, and resolves when its thread has ended. */
  async leave(): Promise<void> {
    const ended = once(this.#worker, 'exit');
    this.say({ do: 'leave' });
    await Promise.race([ended, this.#failed]);
  }
}
