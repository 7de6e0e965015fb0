/** Waiting with an end. */

import { VmError } from './errors.js';

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
