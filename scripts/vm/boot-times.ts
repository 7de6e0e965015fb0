/** How long this process has waited for machines to boot and to form clusters, for those who count it. */

const times: number[] = [];

/** Does what boots machines, and counts its time. */
export async function timeBoot<T>(boot: () => Promise<T>): Promise<T> {
  const began = performance.now();
  try {
    return await boot();
  } finally {
    times.push(performance.now() - began);
  }
}

/** The times since the last call, in milliseconds. */
export function takeBootTimes(): number[] {
  return times.splice(0);
}
