/**
 * The arguments of `request()`, converted as Web IDL has it: in its order, and with a TypeError for what cannot be
 * converted. What getters and `toString` of the program's own throw goes on to it.
 */
import { invalidType } from '../errors.js';
import { notSupported } from './failures.js';
import type { WebLock, WebLockMode } from './types.js';

/** A request that is well formed. */
export interface RequestArguments {
  readonly name: string;
  readonly mode: WebLockMode;
  readonly ifAvailable: boolean;
  readonly steal: boolean;
  readonly signal: AbortSignal | undefined;
  readonly callback: (lock: WebLock | null) => unknown;
}

type Options = Omit<RequestArguments, 'name' | 'callback'>;

const DEFAULTS: Options = {
  mode: 'exclusive',
  ifAvailable: false,
  steal: false,
  signal: undefined,
};

/** Throws a TypeError unless these can be the arguments; looks at nothing else. */
export function convertArguments(given: readonly unknown[]): RequestArguments {
  const { length } = given;
  if (length < 2) {
    throw new TypeError(`request() takes a name and a callback, and was given ${length} arguments`);
  }
  const name = convertString(given[0]);
  const options = length === 2 ? DEFAULTS : convertOptions(given[1]);
  const callback = given[length === 2 ? 1 : 2];
  if (typeof callback !== 'function') throw invalidType('callback', 'of type function', callback);
  return { name, ...options, callback: callback as RequestArguments['callback'] };
}

/** Throws what a request is rejected with whose arguments are well formed; in the order of the specification. */
export function checkArguments({ name, mode, ifAvailable, steal, signal }: RequestArguments): void {
  if (name.startsWith('-')) throw notSupported('The name of a lock must not begin with "-"');
  if (steal && ifAvailable) {
    throw notSupported('"steal" and "ifAvailable" cannot both be true');
  }
  if (steal && mode !== 'exclusive') throw notSupported('"steal" takes the mode "exclusive"');
  if (signal === undefined) return;
  if (steal || ifAvailable) {
    throw notSupported('"signal" cannot be combined with "steal" or "ifAvailable"');
  }
  signal.throwIfAborted();
}

/** A DOMString. A symbol throws, and so does what has no text. */
function convertString(value: unknown): string {
  // Unlike String(value), which takes symbols.
  return typeof value === 'string' ? value : ''.concat(value as string);
}

/** Members are read in the order of their names, each converted before the next is read. */
function convertOptions(value: unknown): Options {
  if (value === undefined || value === null) return DEFAULTS;
  if (typeof value !== 'object' && typeof value !== 'function') {
    throw invalidType('options', 'of type object', value);
  }
  const options = value as Readonly<Record<keyof Options, unknown>>;
  const ifAvailable = Boolean(options.ifAvailable);
  const mode = convertMode(options.mode);
  const signal = convertSignal(options.signal);
  return { ifAvailable, mode, signal, steal: Boolean(options.steal) };
}

function convertMode(value: unknown): WebLockMode {
  if (value === undefined) return 'exclusive';
  const mode = convertString(value);
  if (mode === 'exclusive' || mode === 'shared') return mode;
  // Web IDL has a TypeError also for what is a text, and none of these.
  throw Object.assign(
    new TypeError(
      `The "options.mode" argument must be "exclusive" or "shared". Received ${JSON.stringify(mode)}`,
    ),
    { code: 'ERR_INVALID_ARG_VALUE' as const, argument: 'options.mode' },
  );
}

/** The getter itself: it throws for all that is no signal, whatever that inherits from. */
const { get: isAborted } = Object.getOwnPropertyDescriptor(AbortSignal.prototype, 'aborted') as {
  get: (this: unknown) => boolean;
};

function convertSignal(value: unknown): AbortSignal | undefined {
  if (value === undefined) return undefined;
  try {
    isAborted.call(value);
    return value as AbortSignal;
  } catch {
    throw invalidType('options.signal', 'an instance of AbortSignal', value);
  }
}
