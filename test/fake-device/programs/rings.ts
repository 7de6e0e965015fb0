/**
 * Which membership of nodes is shown when, and with which notice: `submit`. corosync, dlm_controld and the
 * keeper each take their time in turn.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';

import type { UserStackOptions } from '../../../lib/glue.js';
import { silentGlue } from '../../support/silent-glue.js';
import { MachineControl } from '../machine.js';
import { keepersOn } from '../under-sanitizer.js';

const [submit = 'thread'] = process.argv.slice(2);
const folder = process.env.STACKGLUE_FAKE_MACHINE ?? '';
const machine = await MachineControl.open(folder);
const GROUP = 'rings';
/** The machine's first one. As a number it would be the one before. */
const FIRST = 2n ** 53n + 1n;

const came: string[] = [];
let wake: () => void = () => undefined;

const glue = silentGlue({ submit } as UserStackOptions);

/** By how much a ring is above the first. */
const above = (ring: bigint | undefined): string =>
  ring === undefined ? 'unknown' : `${ring - FIRST}`;
function say(event: string, ring: bigint | undefined): void {
  const read = glue.clusterMembership(connection)?.ring;
  if (read !== ring) throw new Error(`${event}: ${above(ring)} is told, ${above(read)} read`);
  came.push(`${event} ${above(ring)}`);
  wake();
}
const connection = await glue.clusterConnect({
  stackName: 'pcmk',
  group: GROUP,
  recoveryHandler: (node, _, ring) => say(`down ${node}`, ring),
  noticeHandler: (notice) => {
    if ('node' in notice) say(`${notice.kind} ${notice.node}`, notice.ring);
    else if ('ring' in notice) say(notice.kind, notice.ring);
    else if (notice.kind === 'keeperGone') say(notice.kind, undefined);
  },
});

async function expectNext(...events: string[]): Promise<void> {
  for (const event of events) {
    while (came.length === 0) await new Promise<void>((resolve) => (wake = resolve));
    const found = came.shift();
    if (found !== event) throw new Error(`${found} instead of ${event}`);
  }
}
function expectShown(ring: string, isQuorate = true): void {
  const shown = glue.clusterMembership(connection);
  const found = `${above(shown?.ring)} ${shown?.isQuorate}`;
  const expected = `${ring} ${ring === 'unknown' ? undefined : isQuorate}`;
  if (found !== expected) throw new Error(`${found} instead of ${expected}`);
}
/** What corosync has said before has been heard, by way of the keeper; that takes two rings. */
async function heard(shown: string, then = shown): Promise<void> {
  await machine.tell('quorum off');
  await expectNext(`quorumLost ${shown}`);
  expectShown(shown, false);
  await machine.tell('quorum on');
  await expectNext(`quorumRegained ${then}`);
  expectShown(then);
}

// It is there as soon as there is a connection, to the last bit.
expectShown('0');

// corosync is first: this lockspace is still in the ring that has node 2.
await machine.tell('lose 2');
await heard('0');
await machine.tell(`fail ${GROUP} 2`);
await expectNext('down 2 12');

// Who comes back, and who comes that was in the cluster all the time.
await machine.tell('find 2');
await heard('20', '24');
await machine.tell(`join ${GROUP} 2`);
await expectNext('memberJoined 2 24');
await machine.tell(`join ${GROUP} 3`);
await expectNext('memberJoined 3 24');

// Two that are gone one after the other, before the lockspace has done with the first.
await machine.tellAll(['lose 2', 'lose 3']);
await heard('24');
await machine.tellAll([`stop ${GROUP}`, `fail ${GROUP} 2`, `fail ${GROUP} 3`, `start ${GROUP}`]);
await expectNext('down 2 28', 'down 3 40');

// Who leaves does not leave the cluster.
await machine.tell('find 2');
await heard('48', '52');
for (let round = 0; round < 2; round += 1) {
  await machine.tell(`join ${GROUP} 2`);
  await expectNext('memberJoined 2 52');
  if (round === 0) {
    await machine.tell(`leave ${GROUP} 2`);
    await expectNext('memberLeft 2 52');
  }
}

// The keeper is late: a ring that may be an earlier one is not shown.
const [keeper = 0] = keepersOn(folder);
process.kill(keeper, 'SIGSTOP');
const isStopped = (thread: string): boolean =>
  readFileSync(`/proc/${keeper}/task/${thread}/stat`, 'utf8').includes(') T ');
while (!readdirSync(`/proc/${keeper}/task`).every(isStopped)) await nextTurn();
await machine.tell(`fail ${GROUP} 2`);
await expectNext('down 2 unknown');
expectShown('unknown');
process.kill(keeper, 'SIGCONT');
while (glue.clusterMembership(connection) === undefined) await nextTurn();
expectShown('56');

// Without it nobody can tell.
process.kill(keeper, 'SIGKILL');
await expectNext('keeperGone unknown');
await glue.clusterDisconnect(connection);
if (submit !== 'keeper') await machine.tell(`remove ${GROUP}`);
machine.close();
