/**
 * A service that watches its own event loop, as a child of a test: it answers HTTP, runs timers, and
 * with the argument "locks" uses stack `user` as well. Commands are lines:
 *
 *   prepare   with locks: connect, and hold 50 locks             -> "prepared"
 *   warm up   answer HTTP and run timers, not measured           -> "warm" after 100 answers
 *   start     begin to measure; with locks: ask for 50 locks and unlock the 50  -> "started"
 *   report    what was measured, as JSON
 */
import { createServer, get } from 'node:http';
import type { AddressInfo } from 'node:net';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { createInterface } from 'node:readline';

import {
  clusterConnect,
  clusterThisNode,
  DLM_LOCK,
  DlmLksb,
  dlmLock,
  dlmUnlock,
  setLockingProtocol,
  type ClusterConnection,
} from '../../lib/index.js';
import { useTestPlugin } from '../support/user-plugin.js';

const CALLS = 50;
const TICK_MS = 20;
/** After so many answers the code that answers is compiled. */
const WARM_ANSWERS = 100;

const withLocks = process.argv[2] === 'locks';
const delay = monitorEventLoopDelay({ resolution: 1 });
let ticks = 0;
let answers = 0;
let slowestAnswerMs = 0;
let completions = 0;
let connection: ClusterConnection | undefined;
const held = Array.from({ length: CALLS }, () => new DlmLksb());
let onCompletion = (): void => undefined;

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

async function prepare(): Promise<void> {
  if (withLocks) {
    const completed = (): void => {
      completions += 1;
      onCompletion();
    };
    setLockingProtocol({
      maxVersion: { major: 1, minor: 0 },
      lockAst: completed,
      blockingAst: () => undefined,
      unlockAst: completed,
    });
    useTestPlugin();
    const connected = await clusterConnect({
      stackName: 'pcmk',
      group: 'watched',
      recoveryHandler: () => undefined,
    });
    connection = connected;
    const allHeld = new Promise<void>((resolve) => {
      onCompletion = () => {
        if (completions === CALLS) resolve();
      };
    });
    held.forEach((lksb, i) => dlmLock(connected, DLM_LOCK.EX, lksb, 0, `held-${process.pid}-${i}`));
    await allHeld;
    say(`prepared ${clusterThisNode(connected)}`);
  } else {
    say('prepared');
  }
}

const server = createServer((_request, response) => response.end('here'));
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
const { port } = server.address() as AddressInfo;

/** One request at a time, for as long as the program runs. */
function askForEver(): void {
  const start = performance.now();
  get({ port, host: '127.0.0.1' }, (response) => {
    response.resume().on('end', () => {
      answers += 1;
      slowestAnswerMs = Math.max(slowestAnswerMs, performance.now() - start);
      if (answers === WARM_ANSWERS) say('warm');
      setTimeout(askForEver, TICK_MS);
    });
  });
}

function warmUp(): void {
  delay.enable();
  setInterval(() => (ticks += 1), TICK_MS);
  askForEver();
}

function start(): void {
  onCompletion = () => undefined;
  delay.reset();
  completions = ticks = slowestAnswerMs = 0;
  answers = WARM_ANSWERS;
  if (connection !== undefined) {
    for (const [i, lksb] of held.entries()) {
      dlmLock(connection, DLM_LOCK.EX, new DlmLksb(), 0, `new-${process.pid}-${i}`);
      dlmUnlock(connection, lksb, 0);
    }
  }
  say('started');
}

await prepare();
for await (const command of createInterface({ input: process.stdin })) {
  if (command === 'warm up') warmUp();
  if (command === 'start') start();
  if (command === 'report') {
    const longestPauseMs = delay.max / 1e6;
    const measured = { longestPauseMs, ticks, slowestAnswerMs, completions };
    say(JSON.stringify({ ...measured, answers: answers - WARM_ANSWERS }));
  }
}
