/**
 * Where the programs of nodes run, as the simulation's thread sees it. A host starts what its node is
 * to do by timers of that node, so that it has its place in the one order, and is lost with the node.
 */
import { simulationRefusal } from './errors.js';
import type { NativeSimulatedEvent } from '../native.js';
import type { NodeHost, NodeProgram } from './node.js';
import type { NodeContext } from './node-life.js';
import { ProgramLife } from './program.js';
import { drained, type World } from './world.js';

/** A host as the simulation drives it. */
export interface DrivenHost extends NodeHost {
  /** Each resolves when the node's thread, if it is another, has run as far as it can. */
  deliver(event: NativeSimulatedEvent): Promise<void> | undefined;
  goOff(timer: number): Promise<void> | undefined;
  /** The lockspace of a connection was taken away: its requests end so, and it hears of it last. */
  lose(connection: number, ends: readonly NativeSimulatedEvent[]): Promise<void> | undefined;
  /**
   * The node is down, and its lockspaces are lost: its programs hear this last, and what they still do is
   * nobody's concern.
   */
  fence(ends: readonly NativeSimulatedEvent[]): Promise<void>;
  /** The simulation is closed. */
  close(): void;
}

/** A call of a node's program that has not been answered. */
export interface OpenCall {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** What hosts of both kinds do alike. */
export abstract class BaseHost {
  protected readonly world: World;
  protected readonly number: number;
  /** What is to be done when a timer of the host's own goes off. */
  readonly #tasks = new Map<number, () => Promise<void> | undefined>();
  readonly #open = new Map<OpenCall, { answer: Promise<unknown>; reject: OpenCall['reject'] }>();

  constructor(world: World, number: number) {
    this.world = world;
    this.number = number;
  }

  /** Has its turn of the node's next; not at all if the node is down. */
  protected soon(task: () => Promise<void> | undefined): void {
    const timer = this.world.startTimer(this.number, 0);
    if (timer > 0) this.#tasks.set(timer, task);
    else this.endCalls();
  }

  /** The task of this timer, if it is one of the host's. */
  protected takeTask(timer: number): (() => Promise<void> | undefined) | undefined {
    const task = this.#tasks.get(timer);
    this.#tasks.delete(timer);
    return task;
  }

  protected openCall(
    name: string,
    make: (call: OpenCall) => Promise<void> | undefined,
  ): Promise<unknown> {
    let settle!: OpenCall;
    const answer = new Promise((resolve, reject) => {
      settle = { resolve, reject };
    });
    const call: OpenCall = {
      resolve: (result) => {
        if (this.#open.delete(call)) settle.resolve(result);
      },
      reject: (error) => {
        if (this.#open.delete(call)) settle.reject(error);
      },
    };
    this.#open.set(call, { answer, reject: settle.reject });
    this.soon(() => {
      this.world.note(this.number, `call ${name}`);
      return make(call);
    });
    return answer;
  }

  protected endCalls(): void {
    this.cutCalls()();
  }

  /** No program answers what is asked now. Returns what lets those who wait know. */
  protected cutCalls(): () => void {
    this.#tasks.clear();
    const cut = [...this.#open.values()];
    this.#open.clear();
    return () => {
      for (const { answer, reject } of cut) {
        // Whoever waits for it hears of the node's death; who does not wait need not.
        answer.catch(() => undefined);
        reject(
          simulationRefusal(
            'ERR_DLM_SIMULATION_NODE',
            `Node ${this.number} went down, or the process ended, before it had answered`,
          ),
        );
      }
    };
  }
}

/** A node whose programs run in the simulation's own thread. */
export class LocalHost extends BaseHost implements DrivenHost {
  readonly #program: NodeProgram | undefined;
  #current: ProgramLife | undefined;

  constructor(world: World, number: number, program: NodeProgram | undefined) {
    super(world, number);
    this.#program = program;
  }

  get context(): NodeContext | undefined {
    return this.#current?.life;
  }

  start(): void {
    const life = new ProgramLife(this.world, this.number, this.#program);
    this.#current = life;
    if (this.#program === undefined) return;
    this.soon(() => {
      life.boot();
      return undefined;
    });
  }

  end(): void {
    this.#current?.end();
    this.#current = undefined;
    this.endCalls();
  }

  async fence(ends: readonly NativeSimulatedEvent[]): Promise<void> {
    const endCalls = this.cutCalls();
    const life = this.#current;
    this.#current = undefined;
    await life?.fence(ends);
    // A worker would have its turn first, too.
    await drained();
    endCalls();
  }

  call(name: string, args: unknown[]): Promise<unknown> {
    const life = this.#current;
    return this.openCall(name, (call) => {
      life?.call(name, args).then(call.resolve, call.reject);
      return undefined;
    });
  }

  deliver(event: NativeSimulatedEvent): undefined {
    this.#current?.life.deliver(event);
    return undefined;
  }

  lose(connection: number, ends: readonly NativeSimulatedEvent[]): Promise<void> | undefined {
    return this.#current?.life.lose(connection, ends);
  }

  goOff(timer: number): undefined {
    const task = this.takeTask(timer);
    if (task === undefined) this.#current?.life.goOff(timer);
    else void task();
    return undefined;
  }

  close(): void {
    this.end();
  }
}
