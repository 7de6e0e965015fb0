/** A worker thread that goes as far as it is told with a lock on stack `user`, and says so. */
import { parentPort, workerData } from 'node:worker_threads';

import {
  clusterConnect,
  clusterDisconnect,
  DLM_LOCK,
  DlmLksb,
  dlmLock,
  dlmUnlock,
  setLockingProtocol,
} from '../../lib/glue.js';
import { useTestPlugin } from '../support/user-plugin.js';

const { group, step } = workerData as { group: string; step: string };
const reached = (where: string): void => {
  if (where === step) parentPort?.postMessage(where);
};

const lksb = new DlmLksb();
setLockingProtocol({
  maxVersion: { major: 1, minor: 0 },
  lockAst: () => {
    reached('held');
    if (step !== 'unlocking') return;
    dlmUnlock(connection, lksb, 0);
    reached('unlocking');
  },
  blockingAst: () => undefined,
  unlockAst: () => undefined,
});
useTestPlugin();
const connecting = clusterConnect({
  stackName: 'pcmk',
  group,
  recoveryHandler: () => undefined,
});
reached('connecting');
const connection = await connecting;
reached('connected');
dlmLock(connection, DLM_LOCK.EX, lksb, 0, 'worker');
reached('in flight');
if (step === 'closing') {
  void clusterDisconnect(connection);
  reached('closing');
}
