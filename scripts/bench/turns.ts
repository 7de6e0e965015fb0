/** The order in which contestants are measured. */

/**
 * What each of these measures, in all rounds, A B A B, so that whatever else the host does falls on
 * all of them. Each has one round before the first that counts: the compiler of JavaScript has then
 * seen the work, and the kernel knows the resources.
 */
export async function takeTurns<Result>(
  contestants: readonly (() => Promise<Result>)[],
  rounds: number,
): Promise<Result[][]> {
  const results = contestants.map((): Result[] => []);
  for (let round = 0; round <= rounds; round++) {
    for (const [index, measure] of contestants.entries()) {
      const result = await measure();
      if (round > 0) results[index]?.push(result);
    }
  }
  return results;
}
