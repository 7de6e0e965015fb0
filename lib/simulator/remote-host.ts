/** A node whose programs run in a worker thread, as the simulation's thread sees it. */
import { MessagePort } from 'node:worker_threads';

import { invalidType } from '../errors.js';
import type { NativeSimulatedEvent } from '../native.js';
import { simulationRefusal } from './errors.js';
import { BaseHost, type DrivenHost, type OpenCall } from './hosts.js';
import {
  FLAG,
  type Answer,
  type ControlMessage,
  type TurnMessage,
  type WorkerMessage,
} from './worker-messages.js';
import { WORLD_CALLS, type World } from './world.js';

/** Throws unless `value` is a port. */
export function checkPort(argument: string, value: unknown): asserts value is MessagePort {
  if (!(value instanceof MessagePort)) {
    throw invalidType(argument, 'an instance of MessagePort', value);
  }
}

type WithoutTime<T> = T extends unknown ? Omit<T, 'nowUs'> : never;

/** The port keeps the event loop alive only while the worker has its turn. */
export class RemoteHost extends BaseHost implements DrivenHost {
  readonly context = undefined;
  readonly #port: MessagePort;
  readonly #calls = new Map<number, OpenCall>();
  #lastCall = 0;
  /** Before the worker has attached there is no turn. */
  readonly #attached: Promise<void>;
  #attach!: () => void;
  #answers: MessagePort | undefined;
  #flag: Int32Array | undefined;
  /** Ends the turn that the worker has. */
  #turnEnds: { resolve: () => void; reject: (error: Error) => void } | undefined;
  #isGone = false;

  constructor(world: World, number: number, port: MessagePort) {
    super(world, number);
    this.#port = port;
    this.#attached = new Promise((resolve) => (this.#attach = resolve));
    port.on('message', (message: WorkerMessage) => this.#hear(message));
    port.on('close', () => this.#lose());
    port.unref();
    this.#send({ turn: 'begin', number, profile: world.profile });
  }

  start(): void {
    this.soon(() => this.#turn({ turn: 'boot' }));
  }

  end(): void {
    this.#send({ turn: 'end' });
    this.#calls.clear();
    this.endCalls();
  }

  lose(connection: number, ends: readonly NativeSimulatedEvent[]): Promise<void> {
    return this.#turn({ turn: 'lose', connection, ends });
  }

  async fence(ends: readonly NativeSimulatedEvent[]): Promise<void> {
    this.#calls.clear();
    const endCalls = this.cutCalls();
    try {
      await this.#turn({ turn: 'fence', ends });
    } finally {
      endCalls();
    }
  }

  call(name: string, args: unknown[]): Promise<unknown> {
    return this.openCall(name, (call) => {
      this.#lastCall += 1;
      this.#calls.set(this.#lastCall, call);
      return this.#turn({ turn: 'call', id: this.#lastCall, name, args });
    });
  }

  deliver(event: NativeSimulatedEvent): Promise<void> {
    return this.#turn({ turn: 'deliver', event });
  }

  goOff(timer: number): Promise<void> | undefined {
    const task = this.takeTask(timer);
    return task === undefined ? this.#turn({ turn: 'goOff', timer }) : task();
  }

  /** A worker that waits for an answer gets none. */
  close(): void {
    this.endCalls();
    if (this.#isGone) return;
    this.#send({ turn: 'close' });
    this.#isGone = true;
    this.#releaseWorker();
    this.#turnEnds?.reject(closed());
    this.#port.close();
    this.#answers?.close();
  }

  #send(message: TurnMessage | ControlMessage): void {
    if (!this.#isGone) this.#port.postMessage(message);
  }

  /** Gives the worker its turn. */
  async #turn(message: WithoutTime<TurnMessage>): Promise<void> {
    this.#port.ref();
    try {
      await new Promise<void>((resolve, reject) => {
        this.#turnEnds = { resolve, reject };
        if (this.#isGone) {
          reject(workerGone(this.number));
          return;
        }
        void this.#attached.then(() => {
          this.#send({ ...message, nowUs: this.world.nowUs });
        });
      });
    } finally {
      this.#turnEnds = undefined;
      this.#port.unref();
    }
  }

  #hear(message: WorkerMessage): void {
    switch (message.kind) {
      case 'attached':
        this.#answers = message.answers;
        this.#flag = message.flag;
        this.#answers.unref();
        this.#attach();
        break;
      case 'drained':
        this.#turnEnds?.resolve();
        break;
      case 'call':
        this.#answer(message.name, message.args);
    }
  }

  #answer(name: string, args: readonly unknown[]): void {
    let answer: Answer;
    try {
      answer = { result: this.#perform(name, args) };
    } catch (error) {
      answer = { error };
    }
    const flag = this.#flag;
    if (flag === undefined) return;
    this.#answers?.postMessage(answer);
    Atomics.store(flag, FLAG.answered, 1);
    Atomics.notify(flag, FLAG.answered);
  }

  #perform(name: string, args: readonly unknown[]): unknown {
    if ((WORLD_CALLS as readonly string[]).includes(name)) {
      const { world } = this;
      return (world[name as keyof World] as (...given: readonly unknown[]) => unknown)(...args);
    }
    if (name === 'fail') {
      this.world.fail(args[0]);
      return undefined;
    }
    const [id, result] = args as [number, unknown];
    const call = this.#calls.get(id);
    this.#calls.delete(id);
    if (name === 'resolve') call?.resolve(result);
    else if (name === 'reject') call?.reject(result);
    return undefined;
  }

  /** The worker has ended, or closed its port. */
  #lose(): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#answers?.close();
    const error = workerGone(this.number);
    this.world.fail(error);
    this.#turnEnds?.reject(error);
    this.endCalls();
  }

  #releaseWorker(): void {
    const flag = this.#flag;
    if (flag === undefined) return;
    Atomics.store(flag, FLAG.closed, 1);
    Atomics.store(flag, FLAG.answered, 1);
    Atomics.notify(flag, FLAG.answered);
  }
}

function workerGone(number: number): Error {
  return simulationRefusal(
    'ERR_DLM_SIMULATION_WORKER',
    `The worker thread that has node ${number} has ended, or closed its port`,
  );
}

function closed(): Error {
  return simulationRefusal('ERR_DLM_SIMULATION_CLOSED', 'The simulation is closed');
}
