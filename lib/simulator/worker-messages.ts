/**
 * What the thread that simulates and a worker thread with a node say to each other.
 *
 * The worker does nothing but in a turn that it is given by a `TurnMessage`, and ends each with
 * `drained`. In between it makes calls, and waits for each answer with Atomics.wait(), so that calls
 * are as synchronous there as in the other thread, and only one thread runs at a time.
 */
import type { MessagePort } from 'node:worker_threads';

import type { NativeSimulatedEvent } from '../native.js';
import type { Profile } from './history.js';

/** To the worker: its turn, and the time. */
export type TurnMessage = { readonly nowUs: number } & (
  | { readonly turn: 'boot' }
  | { readonly turn: 'deliver'; readonly event: NativeSimulatedEvent }
  | { readonly turn: 'goOff'; readonly timer: number }
  /** The lockspace of a connection was taken away. */
  | {
      readonly turn: 'lose';
      readonly connection: number;
      readonly ends: readonly NativeSimulatedEvent[];
    }
  /** Its node is down, and its programs hear this last. */
  | { readonly turn: 'fence'; readonly ends: readonly NativeSimulatedEvent[] }
  | { readonly turn: 'call'; readonly id: number; readonly name: string; readonly args: unknown[] }
);

/** To the worker, without a turn: whose programs run there; its node is down; it is all over. */
export type ControlMessage =
  | { readonly turn: 'begin'; readonly number: number; readonly profile: Profile }
  | { readonly turn: 'end' }
  | { readonly turn: 'close' };

/** From the worker. */
export type WorkerMessage =
  /** The first: where answers go, and what is set when one has gone there. */
  | { readonly kind: 'attached'; readonly answers: MessagePort; readonly flag: Int32Array }
  | { readonly kind: 'drained' }
  /** A call of the world, or one of {@link WorkerCalls}. */
  | { readonly kind: 'call'; readonly name: string; readonly args: readonly unknown[] };

/** The answer to a call. */
export type Answer = { readonly result: unknown } | { readonly error: unknown };

/** Words of the flag: whether an answer is there; whether no answer will ever come. */
export const FLAG = Object.freeze({ answered: 0, closed: 1, words: 2 });
