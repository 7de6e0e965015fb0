/**
 * `npm run demo:tokens`: why a lock alone does not protect a store, and a number that comes with the lock does. Three
 * short acts on the emulation.
 */
import { killEmulatedUserNode } from '../../../lib/glue.js';
import { StaleTokenError, TokenStore } from '../../examples/token-store.js';
import { narrate, paint } from '../telling.js';
import type { ServiceEvent } from './messages.js';
import { NodeThread } from './node-thread.js';

const VOLUME = 'volume-7';
const COLOURS = ['36', '33', '35'];

/** A store that takes what comes, in whatever order. */
class TrustingStore {
  #text = '';

  write(_name: string, _token: bigint, text: string): void {
    this.#text = text;
  }

  get text(): string {
    return this.#text;
  }
}

interface Store {
  write(name: string, token: bigint, text: string): void;
}

const began = performance.now();

function line(who: string, colour: string, text: string): void {
  const time = ((performance.now() - began) / 1000).toFixed(3).padStart(7);
  console.log(`${time} s  ${paint(colour, who.padEnd(6))}  ${text}`);
}

function describe(event: ServiceEvent): string {
  switch (event.kind) {
    case 'joined':
      return 'has joined';
    case 'granted':
      return `has EX on "${VOLUME}", with token ${event.token}`;
    case 'stands still':
      return `looks whether it holds the lock: ${event.held ? 'yes' : 'no'}. So now it is going to write ...`;
    case 'writes':
      return `writes "${event.text}", with token ${event.token}`;
    case 'heard of a death':
      return `is told that node ${event.node} has died`;
    case 'lost':
      return 'is told that its lock is lost: too late';
  }
}

/** Starts a node's program, whose writes go to the store. Resolves when it has joined. */
async function start(
  node: number,
  cluster: string,
  store: Store,
  tokensAbove = 0n,
): Promise<NodeThread> {
  const name = `node ${node}`;
  const colour = COLOURS[node - 1] ?? '0';
  const thread = new NodeThread({ node, cluster, tokensAbove }, (event) => {
    line(name, colour, describe(event));
    if (event.kind !== 'writes') return;
    try {
      store.write(VOLUME, event.token, event.text);
      line('store', '1', 'takes it');
    } catch (error) {
      if (!(error instanceof StaleTokenError)) throw error;
      line('store', '31', `REFUSES it: ${error.message}`);
    }
  });
  await thread.next('joined');
  return thread;
}

/** Takes the lock; resolves to the token. */
async function take(node: NodeThread): Promise<bigint> {
  const granted = node.next('granted');
  node.say({ do: 'lock' });
  return (await granted).token;
}

async function write(node: NodeThread, text: string): Promise<void> {
  const written = node.next('writes');
  node.say({ do: 'write', text, standsStill: false });
  await written;
}

/** The plot, with one store or the other. Resolves to the tokens of the two. */
async function lateWrite(cluster: string, store: Store): Promise<[bigint, bigint]> {
  const first = await start(1, cluster, store);
  const second = await start(2, cluster, store);
  const token = await take(first);
  const standsStill = first.next('stands still');
  first.say({ do: 'write', text: 'backup of Monday', standsStill: true });
  await standsStill;

  narrate('Node 1 stands still, in the midst of that. The cluster takes it for dead.');
  const taken = take(second);
  killEmulatedUserNode(1, cluster);
  const newer = await taken;
  await write(second, 'backup of Tuesday');

  narrate('Node 1 goes on where it was, and knows of nothing.');
  const written = first.next('writes');
  const lost = first.next('lost');
  first.wake();
  await written;
  await lost;
  await Promise.all([first.leave(), second.leave()]);
  return [token, newer];
}

narrate('stackglue demo: fencing tokens');
console.log(
  'Two nodes write backups of one volume into a store. Who writes holds the lock "volume-7" in EX.\n' +
    'Each grant of EX comes with a token, a number that is higher than all before.\n\n' +
    'Emulated here: the nodes are threads of this process, under the emulated stack "user". Node 1\'s thread is held up,\n' +
    "as SIGSTOP, a suspended machine or a slow disk would do it; and the cluster's word that it is dead is a call.",
);

narrate('Act 1. The store takes what comes.');
const trusting = new TrustingStore();
await lateWrite('tokens-1', trusting);
const isSpoilt = trusting.text === 'backup of Monday';
narrate(
  `The store says "${trusting.text}". ${isSpoilt ? 'The lock was right all the time, and the newer backup is gone.' : 'This was to go wrong!'}`,
);

narrate('Act 2. The store looks at the tokens.');
const store = new TokenStore();
const [older, newer] = await lateWrite('tokens-2', store);
const text = store.read(VOLUME, newer);
const isRight = text === 'backup of Tuesday' && newer > older;
narrate(
  `The store says "${text}". ${isRight ? 'Right: the late write changed nothing.' : 'WRONG!'}`,
);

narrate(
  'Act 3. Both have left: no lock manager knows the tokens any more. Who comes next says what the store has seen.',
);
const next = await start(3, 'tokens-2', store, store.highestToken);
const newest = await take(next);
await write(next, 'backup of Wednesday');
await next.leave();
const last = store.read(VOLUME, newest);
const isAbove = newest > newer && last === 'backup of Wednesday';
narrate(
  `The store says "${last}". ${isAbove ? 'Right: the tokens go on above what it had seen.' : 'WRONG!'}`,
);

console.log(
  '\nThe program: scripts/examples/tokens.ts, and token-store.ts beside it. The recipe, with SQL: lib/locks/RECIPES.md.\n' +
    "The same with a real SIGSTOP, on virtual machines with the kernel's DLM: npm test -- test/vm/linux-6.1/tokens.test.ts",
);
process.exitCode = isSpoilt && isRight && isAbove ? 0 : 1;
