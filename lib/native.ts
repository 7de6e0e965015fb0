/**
 * The typed face of the addon: every native class, its loader, and the numbers that both sides share. The
 * addon has them too (native/binding/numbers.cc), and is refused if they are not the same.
 */
import type loadBinding from 'bindings';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual } from 'node:util';

import { packageRoot, places } from './addon-place.js';
import { DlmError, invalidType } from './errors.js';
import {
  bundledError,
  denoError,
  loadedBeforeError,
  loadError,
  otherVersionError,
  platformError,
} from './load-failure.js';

/** `EventKind` of native/util/event_record.h. */
export const EventKind = Object.freeze({
  completion: 1,
  blocking: 2,
  unlock: 3,
  nodeDown: 4,
  call: 5,
});

/** `NoticeKind` of native/order/notice.h. */
export const NoticeKind = Object.freeze({
  nodeFailed: 1,
  nodeLeft: 2,
  nodeJoined: 3,
  stopped: 4,
  resumed: 5,
  released: 6,
  quorumLost: 7,
  quorumRegained: 8,
  daemonGone: 9,
  keeperGone: 10,
  killed: 11,
});

/** `OpenFailure` of native/kernel/open_failure.h: why a lockspace could not be opened. */
export const OpenFailure = Object.freeze({
  noLibrary: 1,
  noDlm: 2,
  noDevice: 3,
  permission: 4,
  noDaemon: 5,
  unknownLockspace: 6,
  noMembership: 7,
  foreignLockspace: 8,
  failed: 9,
  lockspaceExists: 10,
  noKeeper: 11,
  daemonRefused: 12,
  deviceMissing: 13,
  otherKeeper: 14,
});

/** `Lockspace::Submission` of native/kernel/lockspace.h: who makes the calls into the kernel. */
export const Submission = Object.freeze({ thread: 0, loop: 1, keeper: 2 });

/** Bytes of the longest value block of any stack: `kBlockMax` of native/util/event_record.h. */
export const BLOCK_MAX = 64;
const BLOCK_WORDS = BLOCK_MAX / Int32Array.BYTES_PER_ELEMENT;

/**
 * Words of one event, by `EventRecord` of native/util/event_record.h: kind, lock index, value, final; of a
 * completion flags, lock id, mode, whether a value block came; and that.
 */
export const EVENT_WORDS = 8 + BLOCK_WORDS;
/** Where an event's value block begins, in words. */
export const EVENT_BLOCK = 8;
/** The most events in one batch. */
export const EVENT_BATCH_MAX = 128;
/**
 * Words behind the last event: the place of the event that was told last (when all have been told, one that
 * there is not), the size of a batch that has
 * taken the place of this one meanwhile, and a request, its three arguments, the two halves of its
 * transaction's id, the low one first, its result, the program's value block, and a new lock's name
 * (`BatchState` of native/binding/batch_state.h).
 */
export const BATCH_TOLD = EVENT_BATCH_MAX * EVENT_WORDS;
export const BATCH_NEXT = BATCH_TOLD + 1;
export const BATCH_REQUEST = BATCH_NEXT + 1;
export const BATCH_ARGUMENTS = BATCH_REQUEST + 1;
export const BATCH_TRANSACTION = BATCH_ARGUMENTS + 3;
export const BATCH_RESULT = BATCH_TRANSACTION + 2;
export const BATCH_BLOCK = BATCH_RESULT + 1;
export const BATCH_NAME = BATCH_BLOCK + BLOCK_WORDS;
/** Bytes that a name has room for: of one that is longer than any may be, the first are as good as all. */
export const NAME_ROOM = 68;
export const BATCH_WORDS = BATCH_NAME + NAME_ROOM / Int32Array.BYTES_PER_ELEMENT;

/** `RequestKind` of native/binding/batch_state.h: what `request` is asked for by the batch's words. */
export const RequestKind = Object.freeze({
  /** Mode, flags, bytes of the name, transaction, name: a new lock. */
  lock: 1,
  /** Index, flags, value block: the unlock, or a cancel. */
  unlock: 2,
  /** Index, mode, flags, transaction, value block: another mode. */
  convert: 3,
});

/** What all native connections do. All of it on the event loop's thread; nothing waits. */
export interface NativeConnection {
  /**
   * Makes the request that is in the batch's words, {@link RequestKind}, and puts there what comes of it: 0;
   * of a new lock its index, from 0, which names it in every event until the final one; or a negative
   * number, the stack's own refusal, and then nothing has changed. By words, because handing arguments and
   * result over takes an eighth of a lock and unlock.
   */
  request(): void;
  /**
   * For `onEvents`, when it has handled a batch: the size of the next one, which is in its place, or 0.
   * Absent where batches are only delivered.
   */
  more?(): number;
  /**
   * The program has its connection: from now on it is told what happens to the group, and of what has
   * happened first. Not inside of this call.
   */
  begin(): void;
  /**
   * Begins the end; from now on no event is delivered. Idempotent. On stack `user` it is over after
   * `deadlineMs` at the latest.
   */
  close(deadlineMs?: number): void;
  /** Each member's number, name (empty: it has none) and addresses, by number. */
  members(): [number, string, string[]][];
  /**
   * The number of the nodes' membership, and whether it has a quorum. It stands for what has been told, in a
   * listener that is told of members with that. 0: it is not known, or the locks are lost.
   */
  membership(): readonly [ring: bigint, isQuorate: boolean];
  /** Keeps the event loop alive while connected (the default). */
  ref(): void;
  unref(): void;
}

/** Options of a lockspace of the kernel's DLM. */
export interface NativeUserOptions {
  name: string;
  /** Path of libdlm; empty for the usual names. */
  library: string;
  /** Create the lockspace where this process may; else only open it. */
  create: boolean;
  /** Mode of the device, when it is created. */
  mode: number;
  /** `DLM_LSFL_*`, when it is created. */
  flags: number;
  /** One of {@link Submission}. */
  submission: number;
}

/** A version in three parts. */
export type Version = readonly [major: number, minor: number, patch: number];

/** A connection of stack `user`, to the kernel's DLM or to the emulation: what it has beyond others. */
export interface NativeUserConnection extends NativeConnection {
  close(deadlineMs: number): void;
  /** Ends what a lock waits for with -EDEADLK. 0, or the refusal, negative. */
  deadlockCancel(index: number): number;
  /** Drops orphans; an event of kind `call` with `ticket` as its index tells. 0, or the refusal. */
  purge(node: number, pid: number, ticket: number): number;
  /** Of libdlm, and of the kernel's interface. */
  versions(): [Version, Version];
  /** By which number the kernel knows the owner of the locks. */
  ownerPid(): number;
}

/**
 * `open`: code is this node's number. `failed`: code is an `OpenFailure`, error an errno or 0; then
 * `closed` follows. `closed`: nothing of the connection is left in this process; code is 1 when the
 * deadline came first, and the locks are not dropped yet. `notice`: code is one of {@link NoticeKind},
 * error the node that it is about, if any; none comes before `begin` was called, but the loss of all
 * locks, which is the last.
 */
export type NativeUserState = 'open' | 'failed' | 'closed' | 'notice';

/** Hears of a connection's states. */
export type NativeUserListener = (
  state: NativeUserState,
  code: number,
  error: number,
  detail: string,
) => void;

/** native/binding/user_connection.h */
export type NativeUserConnectionClass = new (
  options: NativeUserOptions,
  batch: Int32Array,
  onEvents: (count: number) => void,
  onState: NativeUserListener,
) => NativeUserConnection;

/** Options of a lockspace of the emulated fs/dlm. */
export interface NativeFsdlmOptions {
  cluster: string;
  name: string;
  /** Positive. */
  node: number;
  /** False: only open what another connection of the node has open. */
  create: boolean;
  /** Fail where another connection of the node has it open. */
  exclusive: boolean;
}

/** A lock of an emulated lockspace: `LockView` of native/fsdlm/inspect.h. */
export interface FsdlmLock {
  readonly resource: string;
  readonly id: number;
  /** Of the process that has it, or that left it. */
  readonly pid: number;
  readonly transactionId: bigint;
  /** `DLM_LKF_*` of the last request, and of an unlock or cancel since. */
  readonly flags: number;
  readonly queue: 'granted' | 'converting' | 'waiting';
  /** -1: none. */
  readonly granted: number;
  /** Of a lock that is granted: without meaning. */
  readonly wanted: number;
}

/** native/binding/fsdlm_connection.h */
export type NativeFsdlmConnectionClass = new (
  options: NativeFsdlmOptions,
  batch: Int32Array,
  onEvents: (count: number) => void,
  onState: NativeUserListener,
) => NativeUserConnection;

/** Options of a member of an o2dlm domain. */
export interface NativeO2dlmOptions {
  cluster: string;
  domain: string;
  node: number;
  major: number;
  minor: number;
}

/** A member of an o2dlm domain. */
export interface NativeO2dlmConnection extends NativeConnection {
  /** 0, or the negative errno with which joining failed; then it is closing already. */
  readonly joinStatus: number;
  /** Major and minor that the domain runs at. */
  readonly version: readonly [number, number];
}

/**
 * Hears of a connection to a domain: `closed`, the last; or a `notice`, by {@link NoticeKind}, and the node
 * that it is about.
 */
export type NativeO2dlmListener = (
  state: 'notice' | 'closed',
  notice: number,
  node: number,
) => void;

/** native/binding/o2dlm_connection.h */
export type NativeO2dlmConnectionClass = new (
  options: NativeO2dlmOptions,
  batch: Int32Array,
  onEvents: (count: number) => void,
  onState: NativeO2dlmListener,
) => NativeO2dlmConnection;

/** Options of a simulation: `Simulation::Options` of native/simulator/simulation.h. */
export interface NativeSimulationOptions {
  isFsdlm: boolean;
  seed: number;
  delayMinUs: number;
  delayMaxUs: number;
  detectUs: number;
  recoveryMinUs: number;
  recoveryMaxUs: number;
  /** 0: never. */
  quorumUs: number;
  /** A history that is followed; empty: none. */
  replay: string;
}

/** An event of a simulation: `Event` of native/simulator/engine.h. */
export type NativeSimulatedEvent = readonly [
  what: 0,
  connection: number,
  kind: number,
  lock: number,
  value: number,
  flags: number,
  final: boolean,
  block: Uint8Array | undefined,
];

/** What one step of a simulation brought; the first word is one of {@link SimulationOccurrence}. */
export type NativeOccurrence =
  | NativeSimulatedEvent
  | readonly [what: 1, node: number, timer: number]
  /** The last that the node's programs hear: events, in order. */
  | readonly [what: 2, node: number, ends: readonly NativeSimulatedEvent[]]
  /** The same of one connection, whose lockspace was taken away. */
  | readonly [what: 3, connection: number, ends: readonly NativeSimulatedEvent[]];

/** `SimulationHandle::Occurrence` of native/binding/simulation.h. */
export const SimulationOccurrence = Object.freeze({ event: 0, timer: 1, fenced: 2, lost: 3 });

/** `Simulation::NodeState` of native/simulator/simulation.h, by its number. */
export const SIMULATION_NODE_STATES = ['unknown', 'running', 'paused', 'cutOff', 'down'] as const;

/** What can happen to a node of a simulation. */
export type SimulationControl =
  | 'start'
  | 'kill'
  | 'partition'
  | 'heal'
  | 'pause'
  | 'resume'
  | 'loseQuorum'
  | 'regainQuorum'
  | 'loseDaemon';

/**
 * A simulation: native/binding/simulation.h. Requests return 0 (`lock`: the lock's number), or the
 * lock manager's refusal, negative. Node 0 is the world.
 */
export interface NativeSimulation {
  readonly nowUs: number;
  /**
   * `start`, and `loseDaemon` where there is none: 0 or a negative errno. The others change nothing where
   * they do not apply.
   */
  control(what: SimulationControl, node: number): number;
  /** What happens between two nodes; one way: what the first sends does not reach the second. */
  link(what: 'partition' | 'partitionOneWay' | 'heal', from: number, to: number): void;
  /** What happens to a group, or with an empty name to all; `release` on that node: 0 or a negative errno. */
  group(what: 'stop' | 'resume' | 'release', group: string, node: number): number;
  /** Of a connection that is gone the ring is 0. */
  membership(connection: number): readonly [ring: bigint, isQuorate: boolean];
  /** Index into {@link SIMULATION_NODE_STATES}. */
  state(node: number): number;
  join(
    node: number,
    group: string,
    major: number,
    minor: number,
  ): readonly [status: number, connection: number, major: number, minor: number];
  leave(connection: number): void;
  lock(connection: number, mode: number, flags: number, name: string | Uint8Array): number;
  convert(
    connection: number,
    lock: number,
    mode: number,
    flags: number,
    block: Uint8Array | undefined,
  ): number;
  unlock(connection: number, lock: number, flags: number, block: Uint8Array | undefined): number;
  /** The members' numbers, ascending. */
  members(connection: number): number[];
  /** For connections with the rules of fs/dlm, as those of {@link NativeUserConnection}. */
  deadlockCancel(connection: number, lock: number): number;
  purge(connection: number, node: number, pid: number, ticket: number): number;
  ownerPid(connection: number): number;
  /** Its number, or 0 when the node does not run. */
  startTimer(node: number, delayUs: number): number;
  stopTimer(timer: number): void;
  /** 0 to `bound` - 1. */
  choose(bound: number): number;
  note(node: number, text: string): void;
  /** What was due next, often nothing that a program hears of; undefined: nothing is due. */
  step(): NativeOccurrence[] | undefined;
  history(): string;
  /** A line for each lock that waits, and for each that stands in its way. */
  waiting(): string;
  /** Where a replay left its history: the line, what was expected there (or empty), what came. */
  divergence(): readonly [line: number, expected: string, actual: string] | undefined;
  linesLeft(): number;
}

/** native/binding/simulation.h */
export type NativeSimulationClass = new (options: NativeSimulationOptions) => NativeSimulation;

/** What the addon shows. */
export interface Addon {
  readonly numbers?: unknown;
  NativeSimulation: NativeSimulationClass;
  NativeUserConnection: NativeUserConnectionClass;
  NativeFsdlmConnection: NativeFsdlmConnectionClass;
  NativeO2dlmConnection: NativeO2dlmConnectionClass;
  /** The simulated node dies, in every domain of that cluster: 0 or a negative errno. */
  readonly o2dlmKillNode: (cluster: string, node: number) => number;
  /** The same for the emulated fs/dlm: its lockspaces are worlds of their own. */
  readonly fsdlmKillNode: (cluster: string, node: number) => number;
  /** A lockspace's locks, in the order of their queues; none when there is no such lockspace. */
  readonly fsdlmInspect: (cluster: string, lockspace: string) => FsdlmLock[];
}

/** The numbers as native/binding/numbers.cc has them. */
const NUMBERS = {
  EventKind,
  NoticeKind,
  OpenFailure,
  Submission,
  RequestKind,
  SimulationOccurrence,
  BATCH: {
    max: EVENT_BATCH_MAX,
    eventWords: EVENT_WORDS,
    told: BATCH_TOLD,
    next: BATCH_NEXT,
    request: BATCH_REQUEST,
    arguments: BATCH_ARGUMENTS,
    transaction: BATCH_TRANSACTION,
    result: BATCH_RESULT,
    block: BATCH_BLOCK,
    name: BATCH_NAME,
    nameRoom: NAME_ROOM,
    words: BATCH_WORDS,
  },
};

/** The file that `useNativeBinding` was given. */
let chosen: string | undefined;
let loaded: Addon | undefined;

/**
 * Takes the addon from this file, by its path or `file:` URL: for programs that are bundled into one file,
 * and bring a copy of `stackglue.node` along (of `prebuilds/` or `build/Release/`). A copy of
 * `stackglue-keeper` must lie beside it. Call it before anything else of stackglue is used.
 *
 * @throws {DlmError} `ERR_DLM_ADDON` when the addon is loaded already.
 */
export function useNativeBinding(file: string | URL): void {
  if (typeof file !== 'string' && !(file instanceof URL)) {
    throw invalidType('file', 'of type string or an instance of URL', file);
  }
  if (loaded !== undefined) throw loadedBeforeError();
  chosen =
    typeof file === 'string' && !file.startsWith('file:') ? resolve(file) : fileURLToPath(file);
}

function find(): unknown {
  if (chosen !== undefined) return createRequire(chosen)(chosen);
  const root = packageRoot();
  if (root === undefined) throw bundledError();
  // Not imported: a bundler would take it in, and it does not work there.
  const require = createRequire(import.meta.url);
  const bindings = require('bindings') as typeof loadBinding;
  return bindings({ bindings: 'stackglue', module_root: root, try: places() });
}

function load(): Addon {
  if (process.platform !== 'linux') throw platformError(process.platform);
  // There an addon that calls libuv hangs, or is not loaded, by how it was linked.
  if (process.versions.deno !== undefined) throw denoError();
  let addon: Addon;
  try {
    addon = find() as Addon;
  } catch (cause) {
    throw cause instanceof DlmError ? cause : loadError(cause);
  }
  // An addon of another version would read and write other memory than is meant.
  if (!isDeepStrictEqual(addon.numbers, NUMBERS)) throw otherVersionError();
  return addon;
}

/**
 * The addon, loaded at the first call: who only needs types, errors or constants needs no addon.
 *
 * @throws {DlmError} `ERR_DLM_ADDON`, which says why it cannot be loaded.
 */
export function native(): Addon {
  loaded ??= load();
  return loaded;
}
