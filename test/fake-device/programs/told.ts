/**
 * What the machine is told to do, step by step: `submit`. Each of these has one thing that must come, and is
 * over when it has.
 */
import { constants } from 'node:os';

import {
  createUserPlugin,
  DLM_LKF,
  DLM_LOCK,
  DlmLksb,
  dlmDeadlockCancel,
  StackGlue,
} from '../../../lib/glue.js';
import type { UserStackOptions } from '../../../lib/glue.js';
import { MachineControl } from '../machine.js';

const [submit = 'thread'] = process.argv.slice(2);
const machine = await MachineControl.open(process.env.STACKGLUE_FAKE_MACHINE ?? '');
const GROUP = 'told';
const { CANCEL, CONVERT, NOQUEUE } = DLM_LKF;

/** What has come and was not waited for yet; and who waits. */
const came: string[] = [];
let wake: () => void = () => undefined;
function say(event: string): void {
  came.push(event);
  wake();
}
async function next(): Promise<string> {
  while (came.length === 0) await new Promise<void>((resolve) => (wake = resolve));
  return came.shift() ?? '';
}
async function expectNext(...events: string[]): Promise<void> {
  for (const event of events) {
    const found = await next();
    if (found !== event) throw new Error(`${found} instead of ${event}`);
  }
}
/** Of a change of members: the stop that it takes may be too short to be noticed. */
async function expectMember(event: string): Promise<void> {
  for (;;) {
    const found = await next();
    if (found === event) return;
    if (found !== 'stopped' && found !== 'resumed') throw new Error(`${found} instead of ${event}`);
  }
}

const glue = new StackGlue();
glue.register(createUserPlugin({ submit } as UserStackOptions));
glue.clusterStack = 'pcmk';
const lksb = new DlmLksb();
glue.setLockingProtocol({
  maxVersion: { major: 1, minor: 0 },
  lockAst: () => say(`lock ${glue.dlmLockStatus(lksb)}`),
  blockingAst: (_, level) => say(`blocking ${level}`),
  unlockAst: (_, error) => say(`unlock ${error}`),
});
const connection = await glue.clusterConnect({
  stackName: 'pcmk',
  group: GROUP,
  recoveryHandler: (node) => say(`down ${node}`),
  noticeHandler: (notice) => say('node' in notice ? `${notice.kind} ${notice.node}` : notice.kind),
});
const lock = (flags = 0, mode: 0 | 3 | 5 = DLM_LOCK.EX): void => {
  if (glue.dlmLock(connection, mode, lksb, flags, 'r') !== 0) throw new Error('refused');
};
const unlock = (flags = 0): void => {
  if (glue.dlmUnlock(connection, lksb, flags) !== 0) throw new Error('refused');
};

await machine.tell(`rule ${GROUP} r wait`);
lock();
unlock(CANCEL);
await expectNext('unlock 0');
lock(NOQUEUE);
await waits();
await machine.tell(`refuse ${GROUP} r`);
await expectNext('lock -11');
lock();
await waits();
await machine.tell(`grant ${GROUP} r`);
await expectNext('lock 0');
await machine.tell(`block ${GROUP} r 3`);
await expectNext('blocking 3');

// A cancel that is too late, and then twice EBUSY for what comes next.
await machine.tell(`rule ${GROUP} r lose`);
lock(CONVERT, DLM_LOCK.PR);
await waits();
unlock(CANCEL);
await expectNext('lock 0');
await machine.tell(`rule ${GROUP} r grant`);
lock(CONVERT);
await expectNext('lock 0');

await machine.tell(`stop ${GROUP}`);
await expectNext('stopped');
unlock();
await machine.tell(`start ${GROUP}`);
await expectNext('resumed', 'unlock 0');

await machine.tell(`fail ${GROUP} 2`);
await expectMember('down 2');
await machine.tell(`join ${GROUP} 2`);
await expectMember('memberJoined 2');
await machine.tell(`vanish ${GROUP} 2`);
await expectMember('down 2');
await machine.tell(`join ${GROUP} 3`);
await expectMember('memberJoined 3');
await machine.tell(`leave ${GROUP} 3`);
await expectMember('memberLeft 3');
// What is under way ends before the loss is told, and then nobody is a member.
await machine.tell(`rule ${GROUP} r wait`);
lock();
await waits();
await machine.tell(`remove ${GROUP}`);
await expectMember(`lock ${-constants.errno.ENOTCONN}`);
await expectNext('released');
if (glue.clusterMembers(connection).length > 0) throw new Error('members of what is lost');
// From then on there is one refusal, also for a lock that has ended with the others.
const { ENOTCONN } = constants.errno;
const refusals = [
  glue.dlmUnlock(connection, lksb, CANCEL),
  glue.dlmUnlock(connection, lksb, 0),
  glue.dlmLock(connection, DLM_LOCK.PR, lksb, CONVERT, 'r'),
  glue.dlmLock(connection, DLM_LOCK.PR, new DlmLksb(), 0, 'r'),
  dlmDeadlockCancel(connection, lksb),
];
if (refusals.some((refusal) => refusal !== -ENOTCONN)) throw new Error(refusals.join(' '));
await glue.clusterDisconnect(connection);
machine.close();

/** Until the machine has the request, and lets it wait. */
async function waits(): Promise<void> {
  while ((await machine.state()).waiting === 0) await new Promise(setImmediate);
}
