/**
 * A crowd of waiters of one lock that gives up: how fast it has gone, how long the event loop stood still
 * meanwhile, and how long another node had to wait for a lock of its own.
 */
import { step, type GuestNode, type Progress } from '../vm/index.js';
import { compile } from './compile.js';
import { Talker, type Mode } from './contestant.js';
import { makeRow, type Machine, type Row } from './result.js';
import { takeTurns } from './turns.js';

/** How many wait. */
const SIZES = [100, 400, 1600, 3000] as const;

/** How they give up, by what the programs call it. */
const WAYS = { cancel: 'cancelled', force: 'unlocked by force' } as const;
type Way = keyof typeof WAYS;

const LOCKSPACE = 'crowd';
/** What the crowd waits for; the other node has it. */
const BARRED = 'barred';
/** What the other node locks meanwhile; it asks the crowd's node for that. */
const WATCHED = 'watched';

const REFERENCE = 'crowd-reference';
const JAVASCRIPT = 'dist/scripts/bench/crowd-program.js';

/** What is measured of a crowd; in rows' names. */
const NAMES = {
  rate: 'rate',
  loop: 'loop stands still',
  other: "another node's lock+unlock",
} as const;

interface Choice {
  readonly only: RegExp;
}

export interface CrowdOptions extends Choice {
  readonly rounds: number;
  readonly modes: readonly Mode[];
  readonly progress: Progress;
  readonly report: (row: Row) => void;
}

/** One turn of one contestant. */
interface Turn {
  /** Waiters that have gone for each second. */
  readonly rate: number;
  /** Milliseconds, each the longest. */
  readonly loop: number;
  readonly other: number;
}

interface Crowd {
  readonly way: Way;
  readonly size: number;
  readonly name: string;
}

/** The crowds that were chosen. */
export function chooseCrowds({ only }: Choice): Crowd[] {
  return (Object.keys(WAYS) as Way[])
    .flatMap((way) =>
      SIZES.map((size) => ({
        way,
        size,
        name: `giving up, ${size.toLocaleString('en-US')} waiters ${WAYS[way]}`,
      })),
    )
    .filter(({ name }) => only.test(name));
}

/** Compiles the C program. Do it before the guests boot: they remember what they have read. */
export function buildCrowdReference(): void {
  compile(`${REFERENCE}.c`, REFERENCE, ['-ldlm_lt']);
}

/** Measures them: the contestants are on one node, and what they wait for is on the other. */
export async function runCrowds(
  here: GuestNode,
  there: GuestNode,
  crowds: readonly Crowd[],
  machine: Machine,
  { modes, rounds, progress, report }: CrowdOptions,
): Promise<void> {
  const c = (node: GuestNode): Promise<Talker> =>
    Talker.start(node, `exec ./build/bench/${REFERENCE} ${LOCKSPACE}`);
  const javascript = (node: GuestNode, submit: Mode): Promise<Talker> =>
    Talker.start(node, `exec node ${JAVASCRIPT} ${LOCKSPACE} '${JSON.stringify({ submit })}'`);

  const contestants = [await c(here)];
  for (const mode of modes) contestants.push(await javascript(here, mode));
  // Who locks a resource first is its master.
  await contestants[0]?.ask(`keep ${WATCHED}`);
  const holder = await c(there);
  await holder.ask(`bar ${BARRED}`);
  const watcher = await javascript(there, 'thread');

  for (const { way, size, name } of crowds) {
    const turn = async (contestant: Talker): Promise<Turn> => {
      await contestant.ask(`gather ${BARRED} ${size}`);
      await watcher.ask(`watch ${WATCHED}`);
      const left = (await contestant.ask(way)) as { seconds: number; longest: number };
      const seen = (await watcher.ask('stop')) as { longest: number };
      return {
        rate: size / left.seconds,
        loop: left.longest * 1000,
        other: seen.longest * 1000,
      };
    };
    const [references = [], ...ours] = await step(progress, name, () =>
      takeTurns(
        contestants.map((each) => () => turn(each)),
        rounds,
      ),
    );
    for (const [index, mode] of modes.entries()) {
      for (const what of Object.keys(NAMES) as (keyof Turn)[]) {
        report(
          makeRow({
            name: `${name}, ${NAMES[what]}, ${mode}`,
            unit: what === 'rate' ? '1/s' : 'ms',
            rates: (ours[index] ?? []).map((each) => each[what]),
            references: references.map((each) => each[what]),
            machine,
          }),
        );
      }
    }
  }
  for (const each of [watcher, holder, ...contestants]) await each.end();
}
