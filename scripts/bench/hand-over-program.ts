/**
 * What hand-over-reference.c does, with a cached lock; its lines are those, and for what a node does by itself:
 *
 *   covered COUNT    holds it so often while nobody else wants it, between two calls of umask(2) -> {"pid":N}
 *   pid              -> {"pid":N}
 *
 * Arguments: the lockspace's name, and options of `openLockspace` as JSON.
 */
import { openLockspace, type CachedLock, type LockspaceOptions } from '../../lib/index.js';
import { obey } from './obey.js';

/** The usual one: to set it changes nothing, and is one system call. */
const UMASK = 0o022;

const [group = '', options = '{}'] = process.argv.slice(2);
const lockspace = await openLockspace(group, {
  stack: 'user',
  ...(JSON.parse(options) as Partial<LockspaceOptions>),
});
let cached: CachedLock | undefined;
/** What has happened since the last hold. */
const seen = new Set<'revoked' | 'over'>();
let wake: () => void = () => undefined;

function tell(what: 'revoked' | 'over'): void {
  seen.add(what);
  wake();
}

function taken(): CachedLock {
  if (cached === undefined) throw new Error('nothing has been taken');
  return cached;
}

async function take(name: string): Promise<object> {
  cached = lockspace.cached(name, { minHoldMs: 0, onRevoke: () => tell('revoked') });
  (await cached.hold('EX')).release();
  return { taken: true };
}

function somethingHappens(): Promise<void> {
  return new Promise((resolve) => (wake = resolve));
}

/** Holds it, and again as soon as it has to go. */
async function turn(seconds: number): Promise<object> {
  const lock = taken();
  const start = performance.now();
  let operations = 0;
  seen.clear();
  setTimeout(() => tell('over'), seconds * 1000);
  do {
    seen.delete('revoked');
    const hold = await lock.hold('EX');
    operations += 1;
    hold.release();
    while (seen.size === 0) await somethingHappens();
  } while (!seen.has('over'));
  await lock.giveBack();
  return { operations, seconds: (performance.now() - start) / 1000 };
}

function holdCovered(count: number): object {
  const lock = taken();
  process.umask(UMASK);
  for (let i = 0; i < count; i++) {
    const hold = lock.tryHold('EX');
    if (hold === null) throw new Error('it is not covered');
    hold.release();
  }
  process.umask(UMASK);
  return { pid: process.pid };
}

await obey(([command, word = '']) => {
  switch (command) {
    case 'take':
      return take(word);
    case 'turn':
      return turn(Number(word));
    case 'covered':
      return holdCovered(Number(word));
    case 'pid':
      return { pid: process.pid };
    default:
      throw new Error(`not a command: ${command ?? ''}`);
  }
});
await lockspace.close();
