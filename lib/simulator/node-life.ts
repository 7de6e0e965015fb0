/**
 * One life of a simulated node, from its boot to its death, in the thread that its programs run in:
 * the plugin that they lock by, and their clock.
 */
import { reportRejection } from '../async-handler.js';
import { checkFunction, checkInteger, checkString, invalidType, outOfRange } from '../errors.js';
import type { StackPlugin } from '../stackglue/plugin.js';
import type { NativeSimulatedEvent } from '../native.js';
import type { SimulatedConnection } from './connection.js';
import { createSimulatedPlugin } from './plugin.js';
import { drained, type World } from './world.js';

/** The longest time, in milliseconds: some 24 days. */
export const TIME_MAX_MS = 2 ** 31 - 1;

/** A time in milliseconds, as microseconds. Throws, naming the argument, when it is none. */
export function checkedUs(argument: string, ms: unknown): number {
  if (typeof ms !== 'number') throw invalidType(argument, 'of type number', ms);
  if (!(ms >= 0 && ms <= TIME_MAX_MS)) throw outOfRange(argument, `from 0 to ${TIME_MAX_MS}`, ms);
  return Math.round(ms * 1000);
}

/** Two integers, the second not below the first. Throws, naming the argument, when it is anything else. */
export function checkedPair(argument: string, value: unknown, max: number): [number, number] {
  if (!Array.isArray(value) || value.length !== 2) {
    throw invalidType(argument, 'an array of two numbers', value);
  }
  const [first, second] = value as unknown[];
  checkInteger(`${argument}[0]`, first, 0, max);
  checkInteger(`${argument}[1]`, second, first, max);
  return [first, second];
}

/** What programs have of their node. Every time and every choice is the simulation's. */
export interface NodeContext {
  /** The node's number. */
  readonly number: number;
  /** The stack as this node has it: register it in the glue of the service under test. */
  readonly plugin: StackPlugin;
  /** Milliseconds since the simulation began. */
  now(): number;
  /** Resolves after that many milliseconds of virtual time; never, if the node dies before. */
  sleep(ms: number): Promise<void>;
  /** Calls `callback` after that time, unless the node dies before. Returns the timer. */
  setTimeout(callback: () => void, ms: number): number;
  clearTimeout(timer: number): void;
  /** From 0 to below 1, as `Math.random()`, but drawn from the seed. */
  random(): number;
  /** A line in the history. */
  note(text: string): void;
}

/** The numbers that `random()` can give: 32 bits, to be short in a history. */
const RANDOM_VALUES = 2 ** 32;

/** A node's time and chance, or with number 0 the world's. */
export class Clock {
  readonly #world: World;
  readonly #number: number;
  readonly #timers = new Map<number, () => void>();
  #isOver = false;

  constructor(world: World, number: number) {
    this.#world = world;
    this.#number = number;
  }

  now(): number {
    return this.#world.nowUs / 1000;
  }

  sleep(ms: number): Promise<void> {
    const delayUs = checkedUs('ms', ms);
    return new Promise((resolve) => this.#start(resolve, delayUs));
  }

  setTimeout(callback: () => void, ms: number): number {
    checkFunction('callback', callback);
    return this.#start(callback, checkedUs('ms', ms));
  }

  clearTimeout(timer: number): void {
    checkInteger('timer', timer, 0, Number.MAX_SAFE_INTEGER);
    if (this.#timers.delete(timer)) this.#world.stopTimer(timer);
  }

  random(): number {
    return this.#world.choose(RANDOM_VALUES) / RANDOM_VALUES;
  }

  note(text: string): void {
    checkString('text', text);
    this.#world.note(this.#number, text);
  }

  #start(callback: () => void, delayUs: number): number {
    if (this.#isOver) return 0;
    const timer = this.#world.startTimer(this.#number, delayUs);
    if (timer > 0) this.#timers.set(timer, callback);
    return timer;
  }

  /** A timer has gone off. What its callback throws, or rejects with, is the simulation's failure. */
  goOff(timer: number): void {
    const callback: (() => unknown) | undefined = this.#timers.get(timer);
    this.#timers.delete(timer);
    try {
      reportRejection(callback?.(), (error) => {
        // What a dead node's code still does is nobody's concern.
        if (!this.#isOver) this.#world.fail(error);
      });
    } catch (error) {
      this.#world.fail(error);
    }
  }

  /** No timer goes off any more, and none can be started. */
  end(): void {
    this.#isOver = true;
    this.#timers.clear();
  }
}

/** A node's life. */
export class NodeLife extends Clock implements NodeContext {
  readonly number: number;
  readonly plugin: StackPlugin;
  readonly #connections = new Map<number, SimulatedConnection>();
  #hasEnded = false;

  constructor(world: World, number: number) {
    super(world, number);
    this.number = number;
    this.plugin = createSimulatedPlugin(world, number, this, {
      hasEnded: () => this.#hasEnded,
      add: (connection) => this.#connections.set(connection.number, connection),
      fail: (error) => {
        // What a dead node's code still does is nobody's concern.
        if (!this.#hasEnded) world.fail(error);
      },
    });
  }

  /** An event for one of its connections. */
  deliver(event: NativeSimulatedEvent): void {
    this.#connections.get(event[1])?.deliver(event);
  }

  /** The lockspace of a connection was taken away: its requests end so, and it hears of it last. */
  async lose(number: number, ends: readonly NativeSimulatedEvent[]): Promise<void> {
    const connection = this.#connections.get(number);
    for (const event of ends) connection?.deliver(event);
    this.#connections.delete(number);
    // The loss is told when what it has ended has run as far as it can, as native code tells it.
    await drained();
    connection?.lose();
  }

  /** The node is down: its programs hear and do nothing any more. */
  override end(): void {
    super.end();
    this.#hasEnded = true;
    this.#connections.clear();
  }

  /** The same, but they hear what becomes of their requests, and then that their lockspaces are lost. */
  async fence(ends: readonly NativeSimulatedEvent[]): Promise<void> {
    super.end();
    this.#hasEnded = true;
    for (const event of ends) this.deliver(event);
    const connections = [...this.#connections.values()];
    this.#connections.clear();
    await drained();
    for (const connection of connections) connection.lose();
  }
}
