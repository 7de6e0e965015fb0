/**
 * A program that has stood still for longer than a cause is waited for, while the answers of dlm_controld lie in
 * its socket: `submit`. They were there in time, and all of them count.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';

import type { UserStackOptions } from '../../../lib/glue.js';
import { silentGlue } from '../../support/silent-glue.js';
import { Journal } from '../journal.js';
import { MachineControl } from '../machine.js';
import { haveSlept } from '../threads.js';
import { keepersOn, machineOn } from '../under-sanitizer.js';

const [submit = 'thread'] = process.argv.slice(2);
const folder = process.env.STACKGLUE_FAKE_MACHINE ?? '';
const machine = await MachineControl.open(folder);
const GROUP = 'still';
const NODES = [2, 3, 4, 5];
/** EventOrder::kCauseMs. */
const CAUSE_MS = 5000;

const told: string[] = [];
const glue = silentGlue({ submit } as UserStackOptions);
const connection = await glue.clusterConnect({
  stackName: 'pcmk',
  group: GROUP,
  recoveryHandler: (node) => told.push(`down ${node}`),
  noticeHandler: (notice) => {
    if (notice.kind === 'memberLeft') told.push(`left ${notice.node}`);
  },
});
await machine.tell(`journal ${GROUP}`);
const journal = new Journal(folder);
const untilMembers = async (count: number): Promise<void> => {
  while (glue.clusterMembers(connection).length !== count) await nextTurn();
};
const untilTold = async (): Promise<void> => {
  while (told.length < NODES.length) await nextTurn();
};

const others = NODES.filter((node) => node !== 2);
let joining = others;
let seenMs: number;
for (;;) {
  await machine.tellAll(joining.map((node) => `join ${GROUP} ${node}`));
  await untilMembers(NODES.length + 1);
  const fromMs = performance.now();
  await machine.tellAll(['silence', ...NODES.map((node) => `vanish ${GROUP} ${node}`)]);
  await untilMembers(1);
  seenMs = performance.now();
  if (seenMs - fromMs < CAUSE_MS) break;
  // The host has stood still before this program could: what was told of that is not what is looked for.
  await machine.tell('say');
  await untilTold();
  told.length = 0;
  journal.read();
  joining = NODES;
}

// No turn of the loop from here on, until it is too late for a cause that nobody has told.
const answered = machine.tell('say');
for (let said = 0; said < NODES.length;) {
  said += journal.read().filter((fact) => fact.startsWith('said')).length;
}
// Who has been asked has passed the answers on.
const askers = [...machineOn(folder), ...keepersOn(folder)];
while (!haveSlept(askers));
const cell = new Int32Array(new SharedArrayBuffer(4));
for (let leftMs = 1; leftMs > 0;) {
  leftMs = seenMs + CAUSE_MS + 1 - performance.now();
  if (leftMs > 0) Atomics.wait(cell, 0, 0, leftMs);
}
await answered;
await untilTold();
if (told.join() !== NODES.map((node) => `down ${node}`).join()) throw new Error(told.join());

await glue.clusterDisconnect(connection);
journal.close();
machine.close();
