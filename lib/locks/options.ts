/** What `openLockspace` is given. */
import {
  checkBoolean,
  checkInteger,
  checkOptions,
  checkString,
  checkText,
  invalidType,
  outOfRange,
} from '../errors.js';
import type { ProtocolVersion, StackPlugin, UserStackOptions } from '../glue.js';
import type { TokensAbove } from '../tokens/member.js';
import { checkCacheLimits, type CacheLimits } from '../cached/options.js';
import { checkWait, type WaitOptions } from './limit.js';

/**
 * Which lock manager serves a lockspace:
 *
 * - `user`: the Linux kernel's DLM, across the cluster. With `STACKGLUE_USER=emulated` in the environment its
 *   emulation, and a process warning says so.
 * - `emulated`: that emulation, in this process only.
 * - `o2cb`: an emulation of ocfs2's own DLM, in this process only.
 * - a plugin, say a simulated node's.
 */
export type StackChoice = 'user' | 'emulated' | 'o2cb' | StackPlugin;

/** How a lockspace is opened. Options of other stacks than the one that is chosen change nothing. */
export interface LockspaceOptions extends WaitOptions {
  /** There is no default: whether locks reach beyond this process is nothing to be guessed. */
  readonly stack: StackChoice;
  /** `user`: who makes the calls into the kernel. See `UserStackOptions`. */
  readonly submit?: UserStackOptions['submit'];
  /** `user`, `emulated`: whether the lockspace is created where it does not exist. See `UserStackOptions`. */
  readonly create?: boolean | undefined;
  /** `user`: the mode of the device of a lockspace that is created; 0o600 by default. */
  readonly mode?: number | undefined;
  /** `emulated`, `o2cb`: the number of the simulated node. */
  readonly node?: number | undefined;
  /** `emulated`, `o2cb`: nodes meet in lockspaces of clusters of the same name. */
  readonly cluster?: string | undefined;
  /**
   * The version of what the program means by its locks; 1.0 by default. Who opens a lockspace first decides;
   * later ones must have the same major, and no smaller minor: else `ERR_DLM_PROTOCOL`.
   */
  readonly protocol?: ProtocolVersion | undefined;
  /** Whether doubt is loss: `unsure` then becomes `lost`, and every lock's `lost` is aborted. False by default. */
  readonly treatUnsureAsLost?: boolean | undefined;
  /**
   * Fencing tokens: every lock in `PW` or `EX` has a `token` that is larger than all before it of its name. All who open
   * the lockspace have to say the same; else `ERR_DLM_TOKENS`. A value is 8 bytes shorter then; `raw` and `persistent`
   * locks are refused. False by default.
   */
  readonly tokens?: boolean | undefined;
  /**
   * With `tokens`: what the resource has seen, 0 to 2^63 - 1, or a function that finds out. Tokens begin above it where
   * nobody else has the lockspace open; only then the function is called, and all who open meanwhile wait for it. A token
   * says what was so before the call: the last member may hand out more, and go, while this one still waits. Without
   * either they begin at the same one each time.
   */
  readonly tokensAbove?: TokensAbove | undefined;
  /** How many cached locks are kept that nobody uses: `Lockspace.cached`. */
  readonly cache?: CacheLimits | undefined;
}

const OPTIONS: Readonly<Record<keyof LockspaceOptions, true>> = {
  stack: true,
  submit: true,
  create: true,
  mode: true,
  node: true,
  cluster: true,
  protocol: true,
  treatUnsureAsLost: true,
  tokens: true,
  tokensAbove: true,
  cache: true,
  signal: true,
  timeoutMs: true,
};

const SUBMISSIONS: Readonly<Record<NonNullable<UserStackOptions['submit']>, true>> = {
  thread: true,
  keeper: true,
  loop: true,
};

const STACKS: readonly unknown[] = ['user', 'emulated', 'o2cb'];

/** Throws unless the options are options, those of stacks that are not chosen too. */
export function checkLockspaceOptions(options: LockspaceOptions): void {
  checkStack(options);
  checkOptions<LockspaceOptions>('options', options, OPTIONS);
  checkWait('options', options);
  const { submit, create, mode, node, cluster, protocol, treatUnsureAsLost } = options;
  if (submit !== undefined) checkSubmission(submit);
  if (create !== undefined) checkBoolean('options.create', create);
  if (mode !== undefined) checkInteger('options.mode', mode, 0, 0o777);
  if (node !== undefined) checkInteger('options.node', node, 0, 2 ** 31 - 1);
  if (cluster !== undefined) checkText('options.cluster', cluster);
  if (treatUnsureAsLost !== undefined) {
    checkBoolean('options.treatUnsureAsLost', treatUnsureAsLost);
  }
  checkTokens(options);
  if (options.cache !== undefined) checkCacheLimits('options.cache', options.cache);
  if (protocol === undefined) return;
  checkOptions<ProtocolVersion>('options.protocol', protocol, { major: true, minor: true });
  checkInteger('options.protocol.major', protocol.major, 1, 255);
  checkInteger('options.protocol.minor', protocol.minor, 0, 255);
}

function checkTokens({ tokens, tokensAbove }: LockspaceOptions): void {
  if (tokens !== undefined) checkBoolean('options.tokens', tokens);
  if (tokensAbove === undefined) return;
  if (tokens !== true) throw outOfRange('options.tokens', 'true beside "tokensAbove"', tokens);
  if (typeof tokensAbove !== 'function') checkToken('options.tokensAbove', tokensAbove);
}

/** Throws unless it is a token, or 0. */
export function checkToken(argument: string, token: unknown): asserts token is bigint {
  if (typeof token !== 'bigint') throw invalidType(argument, 'of type bigint', token);
  if (token < 0n || token >= 2n ** 63n) throw outOfRange(argument, 'from 0 to 2^63 - 1', token);
}

function checkSubmission(submit: unknown): void {
  checkString('options.submit', submit);
  if (Object.hasOwn(SUBMISSIONS, submit)) return;
  throw outOfRange('options.submit', `one of ${Object.keys(SUBMISSIONS).join(', ')}`, submit);
}

function checkStack(options: unknown): void {
  const stack =
    typeof options === 'object' && options !== null
      ? (options as Partial<LockspaceOptions>).stack
      : undefined;
  if (STACKS.includes(stack) || isPlugin(stack)) return;
  throw invalidType(
    'options.stack',
    '"user" (the cluster\'s locks, by the Linux kernel\'s DLM), "emulated" (the same rules, in this ' +
      'process only), "o2cb" (ocfs2\'s rules, in this process only) or a plugin; there is no default',
    stack,
  );
}

function isPlugin(value: unknown): value is StackPlugin {
  return typeof value === 'object' && value !== null && 'operations' in value && 'name' in value;
}
