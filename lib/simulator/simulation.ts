/**
 * A cluster in this process, in virtual time: a seed decides the order of everything that can come in
 * different orders, and how long it takes. See README.md.
 */
import {
  checkFunction,
  checkInteger,
  checkOptions,
  checkString,
  invalidType,
  outOfRange,
} from '../errors.js';
import { native, type NativeSimulation as Native } from '../native.js';
import { planChaos, type ChaosOptions } from './chaos.js';
import { SimulationError } from './errors.js';
import { History, type Profile } from './history.js';
import type { NodeOptions, SimulatedNode } from './node.js';
import { NODE_MAX, Nodes } from './nodes.js';
import {
  checkedMaxSteps,
  checkedOptions,
  PARTITION_OPTIONS,
  type PartitionOptions,
  type RunOptions,
  type SimulationOptions,
} from './options.js';
import { Steps } from './steps.js';

/** A simulated cluster. One thread makes it and steps it; its nodes may live in others. */
export class Simulation {
  readonly profile: Profile;
  readonly seed: number;
  readonly #native: Native;
  readonly #steps: Steps;
  readonly #nodes: Nodes;

  constructor(options: SimulationOptions = {}) {
    const checked = checkedOptions(options);
    const { seed, profile, delayUs, detectMs, recoveryMs, quorumMs, replay } = checked;
    this.profile = profile;
    this.seed = seed;
    this.#native = new (native().NativeSimulation)({
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
    this.#steps = new Steps(this.#native, replay !== '', (occurrence) =>
      this.#nodes.dispatch(occurrence),
    );
    this.#nodes = new Nodes(this.#native, profile, this.#steps);
  }

  /** Milliseconds of virtual time since the beginning. */
  now(): number {
    return this.#nodes.clock.now();
  }

  /** Resolves after that many milliseconds of virtual time. */
  sleep(ms: number): Promise<void> {
    this.#steps.checkOpen();
    return this.#nodes.clock.sleep(ms);
  }

  /** Calls `callback` after that time. Returns the timer. */
  setTimeout(callback: () => void, ms: number): number {
    this.#steps.checkOpen();
    return this.#nodes.clock.setTimeout(callback, ms);
  }

  clearTimeout(timer: number): void {
    this.#nodes.clock.clearTimeout(timer);
  }

  /** From 0 to below 1, drawn from the seed. */
  random(): number {
    this.#steps.checkOpen();
    return this.#nodes.clock.random();
  }

  /** A line in the history. */
  note(text: string): void {
    this.#steps.checkOpen();
    this.#nodes.clock.note(text);
  }

  /**
   * The node of that number, 1 to 254. The first call makes it, with what it runs, and boots it.
   */
  node(number: number, options: NodeOptions = {}): SimulatedNode {
    this.#steps.checkOpen();
    return this.#nodes.node(number, options);
  }

  /** The nodes that were made, by number. */
  get nodes(): readonly SimulatedNode[] {
    return this.#nodes.list();
  }

  /**
   * Two nodes do not reach each other any more, one way or both: what is sent waits until `heal`. All others
   * reach them as before. After `detectMs` one of the two is fenced: the one that reaches fewer nodes both
   * ways; of two that reach as many, the one that is not with the lowest number of all these, or, where both
   * are, the one with the higher number. Changes nothing when one of them is
   * down. Throws a RangeError when they are the same.
   */
  partition(from: number, to: number, options: PartitionOptions = {}): void {
    this.#steps.checkOpen();
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
    this.#steps.checkOpen();
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
    this.#steps.checkOpen();
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
    this.#steps.checkOpen();
    planChaos(this, options);
  }

  /** The test finds that something is wrong: whoever runs the simulation is told. */
  fail(error: unknown): void {
    this.#steps.fail(error);
  }

  /**
   * Makes one thing happen: a message arrives, an AST is delivered, a timer goes off, a death is found;
   * and waits until all that this started has run as far as it can (`drained` in world.ts). Resolves to
   * whether anything was due. Rejects with what a handler or program threw, and with
   * `ERR_DLM_SIMULATION_DIVERGED`.
   */
  async step(): Promise<boolean> {
    return this.#steps.one();
  }

  /** Calls `body` and makes steps until what it returned has settled; then that is the result. */
  async run<T>(body: () => T | Promise<T>, options: RunOptions = {}): Promise<T> {
    checkFunction('body', body);
    const result = async (): Promise<T> => body();
    return this.#steps.until(result, checkedMaxSteps(options));
  }

  /**
   * Makes steps until `promise` has settled; then that is the result. When nothing is due any more it
   * rejects with `ERR_DLM_SIMULATION_STUCK` and says who waits for what.
   */
  async runUntil<T>(promise: Promise<T>, options: RunOptions = {}): Promise<T> {
    if (!(promise instanceof Promise)) throw invalidType('promise', 'a promise', promise);
    return this.#steps.until(() => promise, checkedMaxSteps(options));
  }

  /** Makes steps for so many milliseconds of virtual time. */
  async runFor(ms: number, options: RunOptions = {}): Promise<void> {
    await this.#steps.until(() => this.sleep(ms), checkedMaxSteps(options));
  }

  /** Makes steps until nothing is due. */
  async settle(options: RunOptions = {}): Promise<void> {
    await this.#steps.settle(checkedMaxSteps(options));
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
    this.#steps.checkSound();
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
    if (this.#steps.close()) this.#nodes.close();
    return Promise.resolve();
  }
}
