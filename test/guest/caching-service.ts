/**
 * A program on a node that caches locks and a value, and does what it is told, line by line: `group`. Answers begin with
 * the number that the line began with, as several can be under way:
 *
 *   N hold NAME            -> EX, cached from then on: "held"; it stays held until the next one
 *   N release NAME         -> "released"
 *   N covered NAME COUNT   -> so many holds that are covered, between two calls of umask(2): "COUNT"
 *   N contend NAME TURNS   -> holds it in EX again and again, until told to stop, and says when it was granted so often
 *   N stop                 -> "HOLDS GRANTS"
 *   N read                 -> the value
 *   N update               -> the value, which is one more than it was
 *   N tid                  -> the number of the main thread
 *
 * It says "ready" first. Where the value lies is the business of who tells it what to do:
 *
 *   load                   <- "loaded VALUE"
 *   store VALUE TOKEN      <- "stored"
 */
import { createInterface } from 'node:readline';

import { openLockspace, type Hold } from '../../lib/index.js';

/** The holds of one turn of the loop: a program that has as much to do at a time. */
const AT_A_TIME = 10;
/** The usual one: to set it changes nothing, and is one system call. */
const UMASK = 0o022;

const [group = ''] = process.argv.slice(2);
const ls = await openLockspace(group, { stack: 'user', tokens: true });

/** Waits for what is to be said next about the value. */
const answers: ((text: string) => void)[] = [];

function ask(question: string): Promise<string> {
  console.log(question);
  return new Promise((resolve) => answers.push(resolve));
}

const counter = ls.cachedValue<number>('counter', {
  load: async () => Number(await ask('load')),
  store: (value, token) => ask(`store ${value} ${token}`),
  minHoldMs: 0,
});

const held = new Map<string, Hold>();
const contest = { isOn: false, holds: 0, grants: 0 };
let reached: () => void = () => undefined;
let over: Promise<void> = Promise.resolve();

async function contend(name: string, turns: number): Promise<void> {
  const cached = ls.cached(name);
  while (contest.isOn) {
    let hold: Hold | null = cached.tryHold('EX');
    if (hold === null) {
      hold = await cached.hold('EX');
      contest.grants += 1;
      if (contest.grants === turns) reached();
    }
    for (let i = 0; hold !== null && i < AT_A_TIME; i++) {
      hold.release();
      contest.holds += 1;
      hold = cached.tryHold('EX');
    }
    hold?.release();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

function takeCovered(name: string, count: number): void {
  const cached = ls.cached(name);
  process.umask(UMASK);
  for (let i = 0; i < count; i++) {
    const hold = cached.tryHold('EX');
    if (hold === null) throw new Error('it is not covered');
    hold.release();
  }
  process.umask(UMASK);
}

async function obey(what: string, name: string, count: number): Promise<string | number> {
  switch (what) {
    case 'hold':
      held.set(name, await ls.cached(name).hold('EX'));
      return 'held';
    case 'release':
      held.get(name)?.release();
      return 'released';
    case 'covered':
      takeCovered(name, count);
      return count;
    case 'contend': {
      const isReached = new Promise<void>((resolve) => (reached = resolve));
      contest.isOn = true;
      over = contend(name, count);
      await isReached;
      return contest.grants;
    }
    case 'stop':
      contest.isOn = false;
      await over;
      return `${contest.holds} ${contest.grants}`;
    case 'read':
      return counter.read();
    case 'update':
      return counter.update((value) => value + 1);
    case 'tid':
      return process.pid;
    default:
      throw new Error(`unknown command ${what}`);
  }
}

console.log('ready');
for await (const line of createInterface({ input: process.stdin })) {
  const [first = '', what = '', name = '', count = ''] = line.split(' ');
  if (first === 'loaded' || first === 'stored') answers.shift()?.(what);
  else void obey(what, name, Number(count)).then((answer) => console.log(`${first} ${answer}`));
}
await ls.close();
