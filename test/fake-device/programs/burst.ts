/**
 * More changes of members at once than a keeper's socket takes, each of which has something to be asked:
 * `submit`. Whoever asks has to wait then, and still is told why each node has gone.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';

import type { UserStackOptions } from '../../../lib/glue.js';
import { silentGlue } from '../../support/silent-glue.js';
import { MachineControl } from '../machine.js';
import { statesOf } from '../threads.js';
import { keepersOn } from '../under-sanitizer.js';

const [submit = 'thread'] = process.argv.slice(2);
const folder = process.env.STACKGLUE_FAKE_MACHINE ?? '';
const machine = await MachineControl.open(folder);
const GROUP = 'burst';
/** A socket of 208 KiB, which is what most hosts give, has room for some 20 messages. */
const ROUNDS = 100;
/** EventOrder::kCauseMs. */
const CAUSE_MS = 5000;

const told: string[] = [];
const glue = silentGlue({ submit } as UserStackOptions);
const connection = await glue.clusterConnect({
  stackName: 'pcmk',
  group: GROUP,
  recoveryHandler: (node) => told.push(`down ${node}`),
  noticeHandler: (notice) => {
    if ('node' in notice) told.push(`${notice.kind} ${notice.node}`);
  },
});

const [keeper = 0] = keepersOn(folder);
const isMember = (): boolean => glue.clusterMembers(connection).some(({ node }) => node === 2);

/** Resolves to whether it was over before any cause was late. */
async function burst(): Promise<boolean> {
  told.length = 0;
  const fromMs = performance.now();
  process.kill(keeper, 'SIGSTOP');
  while (!statesOf(keeper).every((state) => state === 'T')) await nextTurn();

  const commands: string[] = [];
  const expected: string[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const isDeath = round % 3 === 0;
    commands.push(`join ${GROUP} 4`, `${isDeath ? 'vanish' : 'leave'} ${GROUP} 4`);
    expected.push('memberJoined 4', isDeath ? 'down 4' : 'memberLeft 4');
  }
  // The last one shows that all before it has been seen, and asked for, or not.
  await machine.tellAll([...commands, `vanish ${GROUP} 2`]);
  expected.push('down 2');
  while (isMember()) await nextTurn();
  process.kill(keeper, 'SIGCONT');

  while (told.length < expected.length) await nextTurn();
  if (performance.now() - fromMs >= CAUSE_MS) return false;
  for (const [place, found] of told.entries()) {
    if (found === expected[place]) continue;
    throw new Error(`${found} instead of ${expected[place]}, event ${place} of ${told.length}`);
  }
  return true;
}

// A keeper that the host has kept from answering for so long is no keeper whose socket was full.
while (!(await burst())) {
  await machine.tell(`join ${GROUP} 2`);
  while (!told.includes('memberJoined 2')) await nextTurn();
}
await glue.clusterDisconnect(connection);
machine.close();
