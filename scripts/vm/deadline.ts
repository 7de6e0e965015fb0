/** Waiting with an end. */

import { VmError } from './errors.js';

/**
 * What a guest has not done after so many milliseconds it will not do. Emulated guests that share two
 * processors with other work boot in 4 to 20 s, and form a cluster or recover in seconds; this is enough for
 * a host twenty times slower.
 */
export const HANG_MS = 600_000;

/**
 * What `work` resolves to, if it does so in time.
 *
 * @param describe makes the error's message, when it is needed.
 * @throws {VmError} `timeout` after `timeoutMs`; the work itself is not stopped.
 */
export async function withDeadline<T>(
  work: Promise<T>,
  timeoutMs: number,
  describe: () => string,
): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(new VmError('timeout', describe()));
    }, timeoutMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
