/**
 * A cluster in this process, in virtual time: a seed decides the order of everything that can come in
 * different orders, and how long it takes. See README.md.
 *
 * Invariant: one thing happens at a time. What it starts in a program has run as far as it can before
 * the next happens.
 */
import {
  checkFunction,
  checkInteger,
  checkOptions,
  checkString,
  invalidType,
  outOfRange,
} from '../errors.js';
import {
  NativeSimulation,
  SIMULATION_NODE_STATES,
  SimulationOccurrence,
  type NativeOccurrence,
  type NativeSimulatedEvent,
  type NativeSimulation as Native,
} from '../native.js';
import { planChaos, type ChaosOptions } from './chaos.js';
import { SimulationError, simulationRefusal } from './errors.js';
import { History, type Profile } from './history.js';
import { SimulatedNode, type NodeOptions } from './node.js';
import { Clock } from './node-life.js';
import {
  checkedMaxSteps,
  checkedOptions,
  PARTITION_OPTIONS,
  type PartitionOptions,
  type RunOptions,
  type SimulationOptions,
} from './options.js';
import { checkNodeOptions, makeHost, Processes, type Housed, type HostMaker } from './processes.js';
import { Scope, scopedWorld, Scopes } from './scope.js';
import { drained, type World } from './world.js';

/** Numbers that both engines have: o2dlm has 0 to 254, fs/dlm any that is positive. */
const NODE_MAX = 254;

/** A simulated cluster. One thread makes it and steps it; its nodes may live in others. */
export class Simulation {
  readonly profile: Profile;
  readonly seed: number;
  readonly #native: Native;
  readonly #clock: Clock;
  readonly #maker: HostMaker;
  readonly #follows: boolean;
  readonly #nodes = new Map<number, SimulatedNode>();
  readonly #hosts = new Map<number, Housed & { readonly processes: Processes }>();
  readonly #scopes = new Scopes();
  #isStepping = false;
  #isClosed = false;
  #failure: { readonly cause: unknown } | undefined;

  constructor(options: SimulationOptions = {}) {
    const checked = checkedOptions(options);
    const { seed, profile, delayUs, detectMs, recoveryMs, quorumMs, replay } = checked;
    this.profile = profile;
    this.seed = seed;
    this.#follows = replay !== '';
    this.#native = new NativeSimulation({
      isFsdlm: profile === 'fsdlm',
      seed,
      delayMinUs: delayUs[0],
      delayMaxUs: delayUs[1],
      detectUs: Math.round(detectMs * 1000),
      recoveryMinUs: Math.round(recoveryMs[0] * 1000),
      recoveryMaxUs: Math.round(recoveryMs[1] * 1000),
      quorumUs: Math.round(quorumMs * 1000),
      replay,
    });
    const fail = (error: unknown): void => this.fail(error);
    const makeWorld = (scope: Scope): World => scopedWorld(this.#native, profile, scope, fail);
    this.#maker = {
      makeScope: (node) => new Scope(this.#scopes, node),
      makeWorld,
      isDown: (node) => SIMULATION_NODE_STATES[this.#native.state(node)] === 'down',
    };
    this.#clock = new Clock(makeWorld(new Scope(new Scopes(), 0)), 0);
  }

  /** Milliseconds of virtual time since the beginning. */
  now(): number {
    return this.#clock.now();
  }

  /** Resolves after that many milliseconds of virtual time. */
  sleep(ms: number): Promise<void> {
    this.#checkOpen();
    return this.#clock.sleep(ms);
  }

  /** Calls `callback` after that time. Returns the timer. */
  setTimeout(callback: () => void, ms: number): number {
    this.#checkOpen();
    return this.#clock.setTimeout(callback, ms);
  }

  clearTimeout(timer: number): void {
    this.#clock.clearTimeout(timer);
  }

  /** From 0 to below 1, drawn from the seed. */
  random(): number {
    this.#checkOpen();
    return this.#clock.random();
  }

  /** A line in the history. */
  note(text: string): void {
    this.#checkOpen();
    this.#clock.note(text);
  }

  /**
   * The node of that number, 1 to 254. The first call makes it, with what it runs, and boots it.
   */
  node(number: number, options: NodeOptions = {}): SimulatedNode {
    this.#checkOpen();
    checkInteger('number', number, 1, NODE_MAX);
    checkNodeOptions(options);
    const { program, port } = options;
    const known = this.#nodes.get(number);
    if (known !== undefined) {
      if (program === undefined && port === undefined) return known;
      throw simulationRefusal(
        'ERR_DLM_SIMULATION_NODE',
        `Node ${number} exists, and what it runs cannot be changed`,
      );
    }
    const housed = makeHost(this.#maker, number, options);
    const processes = new Processes(this.#maker, number);
    const native = (): Native => {
      this.#checkOpen();
      return this.#native;
    };
    const node = new SimulatedNode(number, native, housed.host, {
      spawn: (given) => {
        this.#checkOpen();
        return processes.spawn(given);
      },
      running: () => processes.running(),
      end: () => {
        housed.scope.forget();
        processes.end();
      },
    });
    this.#nodes.set(number, node);
    this.#hosts.set(number, { ...housed, processes });
    node.start();
    return node;
  }

  /** The nodes that were made, by number. */
  get nodes(): readonly SimulatedNode[] {
    return [...this.#nodes.values()].sort((a, b) => a.number - b.number);
  }

  /**
   * Two nodes do not reach each other any more, one way or both: what is sent waits until `heal`. All others
   * reach them as before. After `detectMs` one of the two is fenced: the one that reaches fewer nodes both
   * ways; of two that reach as many, the one that is not with the lowest number of all these, or, where both
   * are, the one with the higher number. Changes nothing when one of them is
   * down. Throws a RangeError when they are the same.
   */
  partition(from: number, to: number, options: PartitionOptions = {}): void {
    this.#checkOpen();
    this.#checkPair('from', from, 'to', to);
    checkOptions<PartitionOptions>('options', options, PARTITION_OPTIONS);
    const { oneWay = false } = options;
    if (typeof oneWay !== 'boolean') {
      throw invalidType('options.oneWay', 'of type boolean', oneWay);
    }
    this.#native.link(oneWay ? 'partitionOneWay' : 'partition', from, to);
  }

  /** Ends what `partition` did between the two, if both still live; one that was fenced has to boot. */
  heal(a: number, b: number): void {
    this.#checkOpen();
    this.#checkPair('a', a, 'b', b);
    this.#native.link('heal', a, b);
  }

  /**
   * A group stops on all its nodes, or all groups do, those that are joined later included, as fs/dlm does
   * while members change: programs are told `stopped`, and what is asked for waits until `resume`. What a node's own
   * lock manager had decided before may still be told.
   */
  stop(group?: string): void {
    this.#control('stop', group);
  }

  /** Programs are told `resumed`, and what waits goes on, unless something else has stopped the group. */
  resume(group?: string): void {
    this.#control('resume', group);
  }

  #control(what: 'stop' | 'resume', group: string | undefined): void {
    this.#checkOpen();
    if (group !== undefined) {
      checkString('group', group);
      if (group === '') throw outOfRange('group', 'the name of a group', group);
    }
    this.#native.group(what, group ?? '', 0);
  }

  #checkPair(firstName: string, first: unknown, secondName: string, second: unknown): void {
    checkInteger(firstName, first, 1, NODE_MAX);
    checkInteger(secondName, second, 1, NODE_MAX);
    if (first === second) throw outOfRange(secondName, `another node than ${firstName}`, second);
  }

  /** Plans failures, drawn from the seed: which nodes, when, and for how long. */
  chaos(options: ChaosOptions = {}): void {
    this.#checkOpen();
    planChaos(this, options);
  }

  /** The test finds that something is wrong: whoever runs the simulation is told. */
  fail(error: unknown): void {
    this.#failure ??= { cause: error };
  }

  /**
   * Makes one thing happen: a message arrives, an AST is delivered, a timer goes off, a death is found;
   * and waits until all that this started has run as far as it can (`drained` in world.ts). Resolves to
   * whether anything was due. Rejects with what a handler or program threw, and with
   * `ERR_DLM_SIMULATION_DIVERGED`.
   */
  async step(): Promise<boolean> {
    return this.#exclusively(() => this.#step());
  }

  /** Calls `body` and makes steps until what it returned has settled; then that is the result. */
  async run<T>(body: () => T | Promise<T>, options: RunOptions = {}): Promise<T> {
    checkFunction('body', body);
    const result = async (): Promise<T> => body();
    return this.#runUntil(result, options);
  }

  /**
   * Makes steps until `promise` has settled; then that is the result. When nothing is due any more it
   * rejects with `ERR_DLM_SIMULATION_STUCK` and says who waits for what.
   */
  async runUntil<T>(promise: Promise<T>, options: RunOptions = {}): Promise<T> {
    if (!(promise instanceof Promise)) throw invalidType('promise', 'a promise', promise);
    return this.#runUntil(() => promise, options);
  }

  /** Makes steps for so many milliseconds of virtual time. */
  async runFor(ms: number, options: RunOptions = {}): Promise<void> {
    await this.#runUntil(() => this.sleep(ms), options);
  }

  /** Makes steps until nothing is due. */
  async settle(options: RunOptions = {}): Promise<void> {
    const maxSteps = checkedMaxSteps(options);
    await this.#exclusively(async () => {
      await drained();
      this.#checkSound();
      let steps = 0;
      do {
        this.#checkLimit(steps, maxSteps);
        steps += 1;
      } while (await this.#step());
    });
  }

  /** All that has happened. */
  get history(): History {
    return new History(this.#native.history());
  }

  /** Who waits for which lock, and who has what stands in the way: a line each; for people. */
  waiting(): string {
    return this.#native.waiting();
  }

  /**
   * Of a replay: throws `ERR_DLM_SIMULATION_DIVERGED` unless all of the history has happened, and
   * nothing else.
   */
  checkReplayed(): void {
    this.#checkSound();
    const left = this.#native.linesLeft();
    if (left === 0) return;
    throw new SimulationError(
      'ERR_DLM_SIMULATION_DIVERGED',
      `The replay ended before its history, ${left} of whose lines did not happen`,
      this.history,
    );
  }

  /**
   * The end: every node is down, and worker threads are let go. Idempotent. What is still waited for
   * never settles, but for calls of nodes' programs, which reject.
   */
  close(): Promise<void> {
    if (this.#isClosed) return Promise.resolve();
    this.#isClosed = true;
    this.#clock.end();
    for (const { host, processes } of this.#hosts.values()) {
      host.close();
      processes.close();
    }
    return Promise.resolve();
  }

  async #runUntil<T>(start: () => Promise<T>, options: RunOptions): Promise<T> {
    const maxSteps = checkedMaxSteps(options);
    return this.#exclusively(async () => {
      const promise = start();
      const outcome = { isThere: false };
      const settle = (): void => {
        outcome.isThere = true;
      };
      promise.then(settle, settle);
      await drained();
      this.#checkSound();
      for (let steps = 0; !outcome.isThere; steps += 1) {
        this.#checkLimit(steps, maxSteps);
        if (!(await this.#step())) throw this.#stuck();
      }
      return promise;
    });
  }

  async #exclusively<T>(body: () => Promise<T>): Promise<T> {
    this.#checkOpen();
    if (this.#isStepping) {
      throw simulationRefusal(
        'ERR_DLM_SIMULATION_BUSY',
        'The simulation is being run already, and only one may make its steps',
      );
    }
    this.#isStepping = true;
    try {
      return await body();
    } finally {
      this.#isStepping = false;
    }
  }

  async #step(): Promise<boolean> {
    const occurrences = this.#native.step();
    if (occurrences !== undefined && occurrences.length > 0) {
      for (const occurrence of occurrences) await this.#dispatch(occurrence);
      await drained();
    }
    this.#checkSound();
    return occurrences !== undefined;
  }

  /** What a step brought goes to whom it concerns. */
  #dispatch(occurrence: NativeOccurrence): Promise<void> | undefined {
    switch (occurrence[0]) {
      case SimulationOccurrence.event:
        return this.#scopes.connections.get(occurrence[1])?.host?.deliver(occurrence);
      case SimulationOccurrence.timer: {
        const [, node, timer] = occurrence;
        if (node === 0) {
          this.#clock.goOff(timer);
          return undefined;
        }
        const scope = this.#scopes.timers.get(timer);
        scope?.takeTimer(timer);
        return scope?.host?.goOff(timer);
      }
      case SimulationOccurrence.fenced:
        return this.#fence(occurrence[1], occurrence[2]);
      case SimulationOccurrence.lost: {
        const [, connection, ends] = occurrence;
        return this.#scopes.connections.get(connection)?.host?.lose(connection, ends);
      }
    }
  }

  /** All programs of the node hear of it, those of its own first. */
  async #fence(node: number, ends: readonly NativeSimulatedEvent[]): Promise<void> {
    const housed = this.#hosts.get(node);
    if (housed === undefined) return;
    const { connections } = this.#scopes;
    const endsOf = (scope: Scope): NativeSimulatedEvent[] =>
      ends.filter((event) => connections.get(event[1]) === scope);
    await housed.host.fence(endsOf(housed.scope));
    housed.scope.forget();
    await housed.processes.fence(endsOf);
  }

  #stuck(): SimulationError {
    const waiting = this.#native.waiting();
    return new SimulationError(
      'ERR_DLM_SIMULATION_STUCK',
      'Nothing is due any more, and what is waited for has not come (what is not the simulation’s, ' +
        `such as a file or a real timer, is not waited for).\n${
          waiting === '' ? 'No lock is waited for.' : `Who waits for what:\n${waiting.trimEnd()}`
        }`,
      this.history,
    );
  }

  #checkLimit(steps: number, maxSteps: number): void {
    if (steps < maxSteps) return;
    throw new SimulationError(
      'ERR_DLM_SIMULATION_LIMIT',
      `The simulation has not ended within ${maxSteps} steps`,
      this.history,
    );
  }

  /** That no program has failed, and no replay left its history. */
  #checkSound(): void {
    if (this.#follows) {
      const divergence = this.#native.divergence();
      if (divergence !== undefined) {
        const [line, expected, actual] = divergence;
        throw new SimulationError(
          'ERR_DLM_SIMULATION_DIVERGED',
          `The replay has left its history at line ${line}:\n  history: ${
            expected === '' ? '(ends before)' : expected
          }\n  replay:  ${actual}`,
          this.history,
        );
      }
    }
    if (this.#failure !== undefined) throw this.#failure.cause;
    // It may have been closed meanwhile.
    this.#checkOpen();
  }

  #checkOpen(): void {
    if (!this.#isClosed) return;
    throw simulationRefusal('ERR_DLM_SIMULATION_CLOSED', 'The simulation is closed');
  }
}
