/** Tests that cannot run on every host. */

/** Skips, and says why; in CI, where everything has to be there, that is a failure. */
export function skipBecause(context: Mocha.Context, reason: string): never {
  if (process.env.CI === 'true') throw new Error(reason);
  console.log(`      skipped: ${reason}`);
  return context.skip();
}
