/**
 * A service that watches its own event loop, as a child of a test: it answers HTTP, runs timers, and by
 * its argument does nothing else ("idle"), uses stack `user` ("locks"), or stands still for 400 ms once in
 * each round ("stalls"), so that the test can be seen to tell. Commands are lines:
 *
 *   prepare            with locks: connect, and hold 50 locks          -> "prepared NODE"
 *   warm up            answer HTTP and run timers, not measured        -> "warm" after 100 answers
 *   start              begin to measure                                -> "started"
 *   round I of N       with locks: of 50 locks to ask for and 50 to unlock, the I-th N-th  -> "done"
 *   report             what was measured, as JSON
 */
import { createServer, get } from 'node:http';
import type { AddressInfo } from 'node:net';
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
import { PauseRecorder, type Pause } from '../support/pauses.js';
import { useTestPlugin } from '../support/user-plugin.js';

/** What the service measures from "start" to "report". */
export interface ServiceReport {
  readonly time: Pause;
  readonly pauses: readonly Pause[];
  readonly ticks: number;
  readonly answers: number;
  readonly slowestAnswerMs: number;
  readonly completions: number;
}

const CALLS = 50;
const TICK_MS = 20;
const STALL_MS = 400;
/** After so many answers the code that answers is compiled. */
const WARM_ANSWERS = 100;

const [kind = ''] = process.argv.slice(2);
const recorder = new PauseRecorder();
let started = 0;
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
  if (kind === 'locks') {
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
  recorder.start();
  setInterval(() => (ticks += 1), TICK_MS);
  askForEver();
}

function start(): void {
  onCompletion = () => undefined;
  completions = ticks = slowestAnswerMs = 0;
  answers = WARM_ANSWERS;
  recorder.reset();
  started = PauseRecorder.now();
  say('started');
}

function doRound(round: number, rounds: number): void {
  if (connection !== undefined) {
    for (let i = round; i < CALLS; i += rounds) {
      const lksb = held[i];
      if (lksb === undefined) throw new RangeError(`there is no lock ${i}`);
      dlmLock(connection, DLM_LOCK.EX, new DlmLksb(), 0, `new-${process.pid}-${i}`);
      dlmUnlock(connection, lksb, 0);
    }
  }
  if (kind === 'stalls') {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, STALL_MS);
  }
  say('done');
}

function report(): ServiceReport {
  const pauses = recorder.take();
  const time = [started, PauseRecorder.now()] as const;
  const given = answers - WARM_ANSWERS;
  return { time, pauses, ticks, answers: given, slowestAnswerMs, completions };
}

await prepare();
for await (const line of createInterface({ input: process.stdin })) {
  if (line === 'warm up') warmUp();
  if (line === 'start') start();
  const round = /^round (\d+) of (\d+)$/.exec(line);
  if (round !== null) doRound(Number(round[1]), Number(round[2]));
  if (line === 'report') say(JSON.stringify(report()));
}
