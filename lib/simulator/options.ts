/** What a simulation is told when it is made, and how long it may go on: the options, and their checks. */
import { checkInteger, checkOptions, checkString, outOfRange } from '../errors.js';
import { History, type Profile } from './history.js';
import { checkedPair, TIME_MAX_MS } from './node-life.js';

/** How a cluster is simulated. */
export interface SimulationOptions {
  /** An integer from 0: the same one makes the same choices. 1 by default. */
  readonly seed?: number;
  /**
   * The rules of the lock manager, and with them the stack: `o2dlm` (the default) is stack `o2cb`, and
   * `fsdlm` stack `user`, which serves every other label.
   */
  readonly profile?: Profile;
  /** How long a message takes, at random between these, microseconds; [50, 1000] by default. */
  readonly delayUs?: readonly [min: number, max: number];
  /** After how long a silent node is found dead, milliseconds; 2000 by default. */
  readonly detectMs?: number;
  /**
   * How long a death stops the groups that the node was in, at random between these, milliseconds; [0, 0],
   * not at all, by default.
   */
  readonly recoveryMs?: readonly [min: number, max: number];
  /**
   * After how long a node that is cut off from all others knows that it has no quorum, milliseconds: from
   * then on its groups have stopped. 0 by default: it is fenced before it knows anything.
   */
  readonly quorumMs?: number;
  /**
   * A history, or its text: its choices are made again, whatever has become of the generator that made
   * them, and all that happens must be as it says. It says all other options too.
   */
  readonly replay?: History | string;
}

/** How two nodes are cut off from each other. */
export interface PartitionOptions {
  /** Only what the first sends does not reach the second. */
  readonly oneWay?: boolean;
}

/** How long a simulation may go on. */
export interface RunOptions {
  /** The most steps; 1,000,000 by default. More reject with `ERR_DLM_SIMULATION_LIMIT`. */
  readonly maxSteps?: number;
}

/** All that such a simulation is told beside its seed or its history. */
export const SETTINGS = {
  profile: true,
  delayUs: true,
  detectMs: true,
  recoveryMs: true,
  quorumMs: true,
} as const;
export const RUN_OPTIONS: Readonly<Record<keyof RunOptions, true>> = { maxSteps: true };
const SIMULATION_OPTIONS: Readonly<Record<keyof SimulationOptions, true>> = {
  ...SETTINGS,
  seed: true,
  replay: true,
};

export const PARTITION_OPTIONS: Readonly<Record<keyof PartitionOptions, true>> = { oneWay: true };

const SEED_MAX = Number.MAX_SAFE_INTEGER;
const MAX_STEPS = 1_000_000;
const DELAY_MAX_US = 60_000_000;

/** Options that are sound, with the defaults of those that were not given. */
export interface CheckedOptions {
  seed: number;
  profile: Profile;
  delayUs: readonly [number, number];
  detectMs: number;
  recoveryMs: readonly [number, number];
  quorumMs: number;
  /** Empty: none. */
  replay: string;
}

/**
 * The options of a simulation, checked.
 *
 * @throws {TypeError | RangeError} which names the option.
 */
export function checkedOptions(options: SimulationOptions): CheckedOptions {
  checkOptions<SimulationOptions>('options', options, SIMULATION_OPTIONS);
  const { replay } = options;
  if (replay !== undefined) {
    const history = replay instanceof History ? replay : undefined;
    if (history === undefined) checkString('options.replay', replay);
    const followed = history ?? new History(replay as string);
    const { seed, profile, delayUs, detectMs, recoveryMs, quorumMs } = followed;
    const text = followed.toString();
    return { seed, profile, delayUs, detectMs, recoveryMs, quorumMs, replay: text };
  }
  const { seed = 1, profile = 'o2dlm', delayUs = [50, 1000], detectMs = 2000 } = options;
  checkInteger('options.seed', seed, 0, SEED_MAX);
  checkString('options.profile', profile);
  if (!['o2dlm', 'fsdlm'].includes(profile)) {
    throw outOfRange('options.profile', 'o2dlm or fsdlm', profile);
  }
  const delays = checkedPair('options.delayUs', delayUs, DELAY_MAX_US);
  checkInteger('options.detectMs', detectMs, 1, TIME_MAX_MS);
  const { recoveryMs = [0, 0], quorumMs = 0 } = options;
  const recovery = checkedPair('options.recoveryMs', recoveryMs, TIME_MAX_MS);
  checkInteger('options.quorumMs', quorumMs, 0, TIME_MAX_MS);
  return {
    seed,
    profile,
    delayUs: delays,
    detectMs,
    recoveryMs: recovery,
    quorumMs,
    replay: '',
  };
}

/**
 * The most steps that a run may take.
 *
 * @throws {TypeError | RangeError} which names the option.
 */
export function checkedMaxSteps(options: RunOptions): number {
  checkOptions<RunOptions>('options', options, RUN_OPTIONS);
  const { maxSteps = MAX_STEPS } = options;
  checkInteger('options.maxSteps', maxSteps, 1, Number.MAX_SAFE_INTEGER);
  return maxSteps;
}
