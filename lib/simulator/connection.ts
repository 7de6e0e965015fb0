/**
 * A simulated node's connection to a group, in the place of a native one: it carries requests to the
 * simulation, and writes what comes back to batches as native code does.
 */
import { DLM_LKF, DLM_LOCK, DLM_SBF } from '../constants.js';
import {
  BATCH_ARGUMENTS,
  BATCH_BLOCK,
  BATCH_NAME,
  BATCH_REQUEST,
  BATCH_RESULT,
  BATCH_TRANSACTION,
  EVENT_BLOCK,
  EventKind,
  NoticeKind,
  RequestKind,
  type NativeO2dlmConnection,
  type NativeSimulatedEvent,
} from '../native.js';
import { NO_MODE } from '../stackglue/lksb.js';
import { Places } from './places.js';
import type { World } from './world.js';

/** `Event::Kind` of native/simulator/engine.h is in the order of `EventKind`, and has one kind more. */
const NOTICE = 6;

/** A lock of a connection. */
interface SimulatedLock {
  readonly number: number;
  /** The mode that it has, or NO_MODE, and that it has asked for last, with these flags. */
  granted: number;
  requested: number;
  flags: number;
}

/** How a connection reaches whom it serves. */
export interface ConnectionEnds {
  readonly batch: Int32Array;
  readonly onEvents: (count: number) => void;
  readonly onClosed: () => void;
  /** One of `NoticeKind`, and the node that it is about, if any; after `released` nothing is told. */
  readonly onNotice: (notice: number, node: number) => void;
}

/** One connection; invariant: an index names one lock at a time, from its request to its final event. */
export class SimulatedConnection implements NativeO2dlmConnection {
  readonly joinStatus: number;
  readonly version: readonly [number, number];
  /** The simulation's number of it. */
  readonly number: number;
  readonly #world: World;
  readonly #ends: ConnectionEnds;
  readonly #lvbLength: number;
  readonly #bytes: Uint8Array;
  readonly #locks = new Places<SimulatedLock>();
  readonly #indexes = new Map<number, number>();
  #isClosed = false;
  #hasBegun = false;
  /** All is lost, and that was the last. */
  #isLost = false;
  /** Notices that come before the program has its connection: kind and node. */
  readonly #held: (readonly [notice: number, node: number])[] = [];

  constructor(
    world: World,
    node: number,
    group: string,
    version: { major: number; minor: number },
    ends: ConnectionEnds,
  ) {
    this.#world = world;
    this.#ends = ends;
    this.#bytes = new Uint8Array(ends.batch.buffer);
    this.#lvbLength = world.profile === 'o2dlm' ? 64 : 32;
    const [status, number, major, minor] = world.join(node, group, version.major, version.minor);
    this.joinStatus = status;
    this.number = number;
    this.version = [major, minor];
    if (status !== 0) this.#close();
  }

  request(): void {
    const { batch } = this.#ends;
    const [first = 0, second = 0, third = 0] = batch.subarray(BATCH_ARGUMENTS, BATCH_TRANSACTION);
    switch (batch[BATCH_REQUEST]) {
      case RequestKind.lock:
        batch[BATCH_RESULT] = this.#lock(first, second >>> 0, this.#given(BATCH_NAME, third));
        break;
      case RequestKind.convert:
        batch[BATCH_RESULT] = this.#convert(first, second, third >>> 0);
        break;
      default:
        batch[BATCH_RESULT] = this.#unlock(first, second >>> 0);
    }
  }

  #lock(mode: number, flags: number, name: Uint8Array): number {
    const number = this.#world.lock(this.number, mode, flags, name);
    if (number < 0) return number;
    const index = this.#locks.take({ number, granted: NO_MODE, requested: mode, flags });
    this.#indexes.set(number, index);
    return index;
  }

  #convert(index: number, mode: number, flags: number): number {
    const lock = this.#locks.get(index);
    if (lock === undefined) return this.#world.convert(this.number, 0, mode, flags, undefined);
    const status = this.#world.convert(this.number, lock.number, mode, flags, this.#lvb());
    if (status === 0) Object.assign(lock, { requested: mode, flags });
    return status;
  }

  #unlock(index: number, flags: number): number {
    const lock = this.#locks.get(index);
    if (lock === undefined) return this.#world.unlock(this.number, 0, flags, undefined);
    return this.#world.unlock(this.number, lock.number, flags, this.#lvb());
  }

  /** The simulation's number of the lock with this index; 0: there is none. */
  protected lockNumber(index: number): number {
    return this.#locks.get(index)?.number ?? 0;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#world.leave(this.number);
    this.#close();
  }

  begin(): void {
    this.#hasBegun = true;
    // When whoever waits for the connection has it.
    process.nextTick(() => {
      this.#tellHeld();
    });
  }

  /** Nothing of a simulation keeps the event loop alive. */
  ref(): void {
    return undefined;
  }

  unref(): void {
    return undefined;
  }

  /** An event of the simulation arrives. */
  deliver(event: NativeSimulatedEvent): void {
    if (this.#isClosed || this.#isLost) return;
    const [, , simulatedKind, number, value, flags, final, lvb] = event;
    const kind = simulatedKind + 1;
    const { batch, onEvents } = this.#ends;
    if (kind === EventKind.nodeDown || kind === NOTICE) {
      this.#held.push([kind === NOTICE ? number : NoticeKind.nodeFailed, value]);
      if (this.#hasBegun) this.#tellHeld();
      return;
    }
    if (this.#hasBegun && !this.#tellHeld()) return;
    if (kind === EventKind.call) {
      batch.set([kind, number, value, 0]);
      onEvents(1);
      return;
    }
    const index = this.#indexes.get(number);
    const lock = index === undefined ? undefined : this.#locks.get(index);
    if (index === undefined || lock === undefined) return;
    if (kind === EventKind.completion) lock.granted = modeAfter(lock, value, flags);
    const mode = final ? NO_MODE : lock.granted;
    if (final) {
      this.#locks.clear(index);
      this.#indexes.delete(number);
    }
    batch.set([kind, index, value, Number(final), flags, number, mode, Number(lvb !== undefined)]);
    if (lvb !== undefined) this.#bytes.set(lvb, EVENT_BLOCK * Int32Array.BYTES_PER_ELEMENT);
    onEvents(1);
    // Only now, as native code does: JavaScript has been told of its end.
    if (final) this.#locks.release(index);
  }

  /** The node's number of each member; nodes of a simulation have nothing else. */
  members(): [number, string, string[]][] {
    return this.#world.members(this.number).map((node) => [node, '', []]);
  }

  membership(): readonly [ring: bigint, isQuorate: boolean] {
    return this.#world.membership(this.number);
  }

  /** The lockspace is lost; the ends of its requests have been delivered, and no event comes any more. */
  lose(): void {
    if (this.#isClosed || this.#isLost) return;
    if (this.#hasBegun && !this.#tellHeld()) return;
    this.#isLost = true;
    this.#ends.onNotice(NoticeKind.released, 0);
  }

  /** Whether the connection is open still. */
  #tellHeld(): boolean {
    for (const [notice, node] of this.#held.splice(0)) {
      if (this.#isClosed) break;
      this.#ends.onNotice(notice, node);
    }
    return !this.#isClosed;
  }

  /** The program's value block, for a request. */
  #lvb(): Uint8Array {
    return this.#given(BATCH_BLOCK, this.#lvbLength);
  }

  /** `size` bytes of a request, from a word of the batch on. */
  #given(word: number, size: number): Uint8Array {
    const from = word * Int32Array.BYTES_PER_ELEMENT;
    return this.#bytes.slice(from, from + size);
  }

  #close(): void {
    this.#isClosed = true;
    queueMicrotask(this.#ends.onClosed);
  }
}

/** The mode that a lock can be counted on to have after a completion: `ToldMode` of native/user/lock_book.cc. */
function modeAfter(lock: SimulatedLock, status: number, flags: number): number {
  if (status !== 0) {
    const isDemoted = (flags & DLM_SBF.DEMOTED) !== 0 || (lock.flags & DLM_LKF.CONVDEADLK) !== 0;
    return isDemoted && lock.granted !== NO_MODE ? DLM_LOCK.NL : lock.granted;
  }
  if ((flags & DLM_SBF.ALTMODE) === 0) return lock.requested;
  return (lock.flags & DLM_LKF.ALTPR) === 0 ? DLM_LOCK.CW : DLM_LOCK.PR;
}
