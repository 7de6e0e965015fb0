/**
 * Fencing tokens: each grant of EX comes with a number that is higher than those before, and the store refuses who
 * comes with a lower one. Here a writer let go of its lock, and its last write comes late.
 */
import { openLockspace, type Lockspace } from 'stackglue';

import { StaleTokenError, TokenStore } from './token-store.js';

const JOURNAL = 'journal';
const store = new TokenStore();

/** Adds a line, with the lock and its token. */
function append(ls: Lockspace, line: string): Promise<void> {
  return ls.using(JOURNAL, 'EX', (lock) => {
    const lines = store.read(JOURNAL, lock.token);
    store.write(JOURNAL, lock.token, `${lines}${line}\n`);
    console.log(`written: ${line}`);
  });
}

// Tokens begin anew when nobody has the lockspace open: above what the store has seen.
await using ls = await openLockspace('example-tokens', {
  stack: 'user',
  tokens: true,
  tokensAbove: () => store.highestToken,
});

await append(ls, 'one');

const slow = await ls.lock(JOURNAL, 'EX');
const lines = store.read(JOURNAL, slow.token);
await slow.release();
await append(ls, 'two');
try {
  // Without the token this would undo what was written since.
  store.write(JOURNAL, slow.token, `${lines}late\n`);
} catch (error) {
  if (!(error instanceof StaleTokenError)) throw error;
  console.log('refused: late');
}

await append(ls, 'three');
const all = await ls.using(JOURNAL, 'EX', (lock) => store.read(JOURNAL, lock.token));
console.log(`the journal: ${all.trimEnd().split('\n').join(', ')}`);
