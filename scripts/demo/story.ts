/** The demo's plot, the same on every stack, told so that a newcomer can follow. */
import type { CounterEvent } from './counter-node.js';
import { narrate, paint } from './telling.js';

/** A node that has joined. */
export interface StartedNode {
  /** Lets it take its turns. Resolves when it has; never for the one that is killed. */
  run(): Promise<void>;
  /** What the counter says now. */
  read(): Promise<number>;
  leave(): Promise<void>;
}

/** Where the demo runs. */
export interface Stage {
  readonly title: string;
  /** What a value block is after its holder's death, in this stack's words. */
  readonly lostBlock: string;
  start(
    node: number,
    turns: number,
    holdsOn: boolean,
    tell: (event: CounterEvent) => void,
  ): Promise<StartedNode>;
  /** Ends a node without a word to anybody. */
  kill(node: number): Promise<void>;
}

/** How often a survivor adds one. */
const TURNS = 6;
const NODES = [1, 2, 3];
const VICTIM = 2;
/** How often the victim does, before it holds on. */
const VICTIM_TURNS = 2;

const COLOURS = ['36', '33', '35'];

function describe(event: CounterEvent, lostBlock: string): string {
  switch (event.kind) {
    case 'joined':
      return 'has joined, and holds the lock "counter" in NL: present, but in nobody\'s way';
    case 'asks':
      return 'asks for EX';
    case 'granted':
      return `lock AST: has EX. The value block says ${event.block}${event.valid ? '' : ', flagged VALNOTVALID'}`;
    case 'asked to let go':
      return 'blocking AST: somebody waits for EX';
    case 'wrote':
      return `writes ${event.count} into the value block and goes back to NL`;
    case 'holds on':
      return `has EX again. The block says ${event.block}. It keeps EX and does not let go ...`;
    case 'heard of a death':
      return `recovery handler: node ${event.node} has died`;
    case 'repaired':
      return `the block says ${event.block}${event.isLost ? ` (${lostBlock})` : ''}, this node last wrote ${event.remembered}: puts ${event.count}`;
    case 'done':
      return `has added ${event.added} in all`;
  }
}

/** Runs the plot; true when the count at the end is right. */
export async function runStory(stage: Stage): Promise<boolean> {
  const began = performance.now();
  narrate(stage.title);
  console.log(
    'Three nodes add to one counter. It lives nowhere but in the value block of the lock "counter".\n' +
      `Nodes 1 and 3 will add ${TURNS} times. Node ${VICTIM} will be killed while it holds EX.\n`,
  );

  const committed = new Map(NODES.map((node) => [node, 0]));
  const waiting = new Set<number>();
  const victim = { holds: false };
  let victimHasAdded!: () => void;
  const opening = new Promise<void>((resolve) => (victimHasAdded = resolve));
  let sceneIsSet!: () => void;
  const scene = new Promise<void>((resolve) => (sceneIsSet = resolve));
  const tell = (node: number) => (event: CounterEvent) => {
    const time = ((performance.now() - began) / 1000).toFixed(3).padStart(7);
    const colour = COLOURS[node - 1] ?? '0';
    console.log(`${time} s  ${paint(colour, `node ${node}`)}  ${describe(event, stage.lostBlock)}`);
    if (event.kind === 'asks') waiting.add(node);
    if (event.kind === 'granted') waiting.delete(node);
    if (event.kind === 'wrote') committed.set(node, (committed.get(node) ?? 0) + 1);
    if (event.kind === 'holds on') victim.holds = true;
    if (committed.get(VICTIM) === VICTIM_TURNS) victimHasAdded();
    if (victim.holds && waiting.size === NODES.length - 1) sceneIsSet();
  };

  const start = (node: number): Promise<StartedNode> => {
    const isVictim = node === VICTIM;
    return stage.start(node, isVictim ? VICTIM_TURNS : TURNS, isVictim, tell(node));
  };
  const [first, doomed, third] = await Promise.all([start(1), start(VICTIM), start(3)]);

  void doomed.run();
  await opening;
  const runs = Promise.all([first.run(), third.run()]);
  await Promise.race([scene, runs]);
  if (!victim.holds) throw new Error('the survivors were done before the victim held on');
  narrate(`Node ${VICTIM} holds EX and the others wait. Its power is cut.`);
  await stage.kill(VICTIM);

  await runs;
  const counts = [await first.read(), await third.read()];
  await Promise.all([first.leave(), third.leave()]);

  const parts = NODES.map((node) => committed.get(node) ?? 0);
  const expected = parts.reduce((sum, part) => sum + part, 0);
  const isRight = counts.every((count) => count === expected);
  narrate(
    `The nodes added ${parts.join(' + ')} = ${expected}; the counter says ${counts.join(' and ')}. ${isRight ? 'Right.' : 'WRONG!'}`,
  );
  return isRight;
}
