/**
 * Three services of which one leads: when it steps down, or its process is gone, the next one does. Here they are three
 * in one program; on a cluster each is a program of its own.
 */
import { openLockspace } from 'stackglue';
import { elect } from 'stackglue/recipes';

const LEADERS = ['first', 'second', 'third'];
const stopping = new AbortController();
await using ls = await openLockspace('example-elect', { stack: 'user', tokens: true });
let highest = 0n;

async function serve(name: string): Promise<void> {
  for await (const term of elect(ls, 'leader', { signal: stopping.signal })) {
    // What is led refuses those who come with a lower one.
    if (term.token <= highest) throw new Error('a term with an old token');
    highest = term.token;
    console.log(`${name} leads`);
    if (name === 'first') continue; // its term is over: it stands again, behind the others
    if (name === 'second') break; // it does not stand any more
    stopping.abort(new Error('all is done'));
    console.log(`${name} is told: ${(term.signal.reason as Error).message}`);
    return;
  }
}

const served = await Promise.allSettled(LEADERS.map(serve));
for (const [index, result] of served.entries()) {
  const end = result.status === 'fulfilled' ? 'well' : (result.reason as Error).message;
  console.log(`${LEADERS[index] ?? ''} has ended: ${end}`);
}
