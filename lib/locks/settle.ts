/** Promises that are settled from handlers, and errors that show who waited. */

/** Ends a promise: with a value, or with what `failWith` returns. */
export type Settle<Value> = (value: Value | Promise<Value>) => void;

const NOTHING = Promise.resolve();

/**
 * Rejects with what `make` returns; for a promise that is resolved with it. The error is made two jobs later,
 * in a continuation of that promise, when V8 sees who awaits it: its stack names the functions that wait.
 */
export async function failWith(make: () => unknown): Promise<never> {
  await NOTHING;
  await NOTHING;
  throw make();
}

/** Whether `await` would hand this on as it is. */
export function isPrimitive<Value>(value: Value | PromiseLike<Value>): value is Value {
  return value === null || (typeof value !== 'object' && typeof value !== 'function');
}

/** A promise that rejects as the call would have thrown. */
export function rejected(error: unknown): Promise<never> {
  // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- handed on as it was thrown
  return Promise.reject(error);
}
