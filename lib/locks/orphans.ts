/**
 * Locks that outlive their process: how one becomes such a lock, is adopted, and is given up.
 *
 * Invariant: nothing that waits is PERSISTENT. fs/dlm keeps also the request of a process that ends while it waits,
 * as an orphan of no mode, which nobody can adopt and which makes an adoption fail (dlm_clear_proc_locks). So a lock
 * is first taken, and then made persistent by a conversion to the mode that it has, which waits for nobody.
 */
import { DLM_LKF, DLM_LOCK, type LockMode } from '../constants.js';
import { DlmError } from '../errors.js';
import { dlmPurge, type ClusterConnection, type StackClock } from '../glue.js';
import { LockBlock, NOTHING_HELD, type BlockShape } from './block.js';
import { purgeEnded } from './failures.js';
import type { AdoptOptions, LockOptions, PurgeOptions } from './lock-options.js';
import { sharedLimit } from './lock-set.js';
import { giveBack, persist, type Lock } from './lock.js';
import type { Requests } from './requests.js';
import type { LockName } from './rules.js';

const { EXPEDITE, ORPHAN, PERSISTENT } = DLM_LKF;
const { NL, PR } = DLM_LOCK;

/** As `Requests.lock`, and the lock stays when this process ends. The options' limit is one for all of it. */
export async function lockPersistently(
  requests: Requests,
  clock: StackClock,
  name: LockName,
  mode: LockMode,
  flags: number,
  options: LockOptions,
  block: LockBlock | undefined,
): Promise<Lock | null> {
  const limit = sharedLimit(clock, options);
  const lock = await requests.lock(name, mode, flags, options, block);
  if (lock === null) return null;
  try {
    await persist(lock, limit());
  } catch (error) {
    giveBack(lock);
    throw error;
  }
  return lock;
}

/**
 * Adopts a lock that a process of this node has left. Resolves to null if there is none of that name.
 *
 * @param raw the shape of a whole block.
 */
export async function adoptLock(
  requests: Requests,
  name: LockName,
  mode: LockMode,
  options: AdoptOptions,
  block: LockBlock | undefined,
  raw: BlockShape,
): Promise<Lock | null> {
  const flags = options.persistent === true ? ORPHAN | PERSISTENT : ORPHAN;
  const lock = await requests.lock(name, mode, flags, options, block);
  if (lock !== null && block !== undefined) await readBlock(requests, name, mode, block, raw);
  return lock;
}

/**
 * Reads the block of a lock that was adopted. The adoption brings none, and what a conversion of the lock would do
 * is to write it; so a lock beside it reads. EXPEDITE, because others may wait for the lock itself.
 */
async function readBlock(
  requests: Requests,
  name: LockName,
  mode: LockMode,
  block: LockBlock,
  raw: BlockShape,
): Promise<void> {
  const seen = new LockBlock(raw);
  let isValid = false;
  try {
    const reader = await requests.lock(name, NL, EXPEDITE, undefined, seen);
    isValid = seen.stateIn(PR) !== 'invalid';
    if (reader !== null) giveBack(reader);
  } catch (error) {
    // What the lock protects matters more than its value: only with the lock is that an end.
    if (requests.hasEnded) throw error;
  }
  block.granted(seen.value, NOTHING_HELD, mode, isValid);
}

/** Gives up orphans. `endOf`: why the lockspace has ended, if it has. */
export async function purgeOrphans(
  connection: ClusterConnection<never>,
  { node = 0, pid = 0 }: PurgeOptions,
  endOf: () => DlmError | undefined,
): Promise<void> {
  const group = connection.name;
  const end = endOf();
  if (end !== undefined) throw purgeEnded(group, end);
  try {
    await dlmPurge(connection, node, pid);
  } catch (error) {
    const since = endOf();
    const isEnd = error instanceof DlmError && error.code === 'ERR_DLM_DISCONNECTED';
    throw isEnd && since !== undefined ? purgeEnded(group, since) : error;
  }
}
