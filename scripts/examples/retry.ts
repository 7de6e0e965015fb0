/** Two tasks that lock two names in different orders: limits, and starting over, bring both to their end. */
import { DlmError, openLockspace, type Lockspace } from 'stackglue';

async function withRetries<Result>(ls: Lockspace, work: () => Promise<Result>): Promise<Result> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof DlmError && error.isRetryable) || attempt === 9) throw error;
      console.log(`${error.code}: once more`);
      // Everything has been given up; chance decides who is first now.
      const ms = ls.clock.random() * 2 ** attempt * 5;
      await new Promise<void>((resolve) => ls.clock.setTimeout(resolve, ms));
    }
  }
}

const ls = await openLockspace('example-retry', { stack: 'user' });

/** Resolves when both tasks have their first lock. */
let hasMet!: () => void;
const met = new Promise<void>((resolve) => (hasMet = resolve));
let arrived = 0;

async function move(from: string, to: string, timeoutMs: number): Promise<void> {
  await withRetries(ls, () =>
    ls.using(from, 'EX', { timeoutMs: 10_000 }, async () => {
      arrived += 1;
      if (arrived === 2) hasMet();
      await met;
      await ls.using(to, 'EX', { timeoutMs }, () => console.log(`moved from ${from} to ${to}`));
    }),
  );
}

// One of the two is patient, so that the other one makes way.
await Promise.all([move('a', 'b', 20), move('b', 'a', 10_000)]);
await ls.close();
