/**
 * A program that takes a lock on stack `user` and then ends in the way that its arguments say:
 * `group resource ending [flags]`. It prints "held" once it has the lock.
 */
import {
  clusterConnect,
  clusterDisconnect,
  DLM_LKF,
  DLM_LOCK,
  DlmLksb,
  dlmLock,
  dlmLockStatus,
  dlmUnlock,
  setLockingProtocol,
} from '../../lib/glue.js';
import { useTestPlugin } from '../support/user-plugin.js';

const [group = '', resource = '', ending = '', flags = String(DLM_LKF.VALBLK)] =
  process.argv.slice(2);
const lksb = new DlmLksb();

setLockingProtocol({
  maxVersion: { major: 1, minor: 0 },
  lockAst: () => {
    if (dlmLockStatus(lksb) !== 0) process.exit(3);
    console.log('held');
    end();
  },
  blockingAst: () => undefined,
  unlockAst: () => void clusterDisconnect(connection),
});
useTestPlugin();
const connection = await clusterConnect({
  stackName: 'pcmk',
  group,
  recoveryHandler: () => undefined,
});
dlmLock(connection, DLM_LOCK.EX, lksb, Number(flags), resource);

function end(): void {
  switch (ending) {
    case 'close':
      dlmUnlock(connection, lksb, 0);
      return;
    case 'disconnect':
      void clusterDisconnect(connection);
      return;
    case 'exit':
      process.exit(0);
    case 'unref':
      connection.unref();
      return;
    case 'throw':
      throw new Error('on purpose');
    case 'wait':
      return;
  }
}
