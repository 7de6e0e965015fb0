/**
 * A program with one lock on stack `user` that does what it is told, line by line: `ask MODE`,
 * `convert MODE`, `break` (dlmDeadlockCancel), `cancel`, `unlock`. Several of them on a line are done in one
 * turn, and then it prints "done". It prints "ready" first, and what the lock is told, with its status.
 */
import { createInterface } from 'node:readline';

import {
  clusterConnect,
  DLM_LKF,
  DlmLksb,
  dlmDeadlockCancel,
  dlmLock,
  dlmLockStatus,
  dlmUnlock,
  setLockingProtocol,
  type LockMode,
} from '../../lib/glue.js';
import { useTestPlugin } from '../support/user-plugin.js';

const [group = '', resource = ''] = process.argv.slice(2);
const lksb = new DlmLksb();

setLockingProtocol({
  maxVersion: { major: 1, minor: 0 },
  lockAst: () => console.log(`lockAst ${dlmLockStatus(lksb)}`),
  blockingAst: () => undefined,
  unlockAst: (astarg) => console.log(`unlockAst ${dlmLockStatus(lksb)} ${String(astarg)}`),
});
useTestPlugin();
const connection = await clusterConnect({
  stackName: 'pcmk',
  group,
  recoveryHandler: () => undefined,
});
console.log('ready');

function perform(words: string[]): number {
  const [word, mode] = words;
  switch (word) {
    case 'ask':
      return dlmLock(connection, Number(mode) as LockMode, lksb, 0, resource);
    case 'convert':
      return dlmLock(connection, Number(mode) as LockMode, lksb, DLM_LKF.CONVERT, '');
    case 'break':
      return dlmDeadlockCancel(connection, lksb);
    case 'cancel':
      return dlmUnlock(connection, lksb, DLM_LKF.CANCEL, 'cancel');
    default:
      return dlmUnlock(connection, lksb, 0, 'unlock');
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  for (const part of line.split(', ')) {
    const result = perform(part.split(' '));
    if (result !== 0) console.log(`${part}: ${result}`);
  }
  console.log('done');
}
process.exit(0);
