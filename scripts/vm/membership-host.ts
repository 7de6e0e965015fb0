/**
 * Membership decided by the host: a small dlm_controld outside of the guests.
 *
 * What dlm_controld agrees on with its peers through corosync is simply known here, so there is
 * no waiting for anybody to notice anything. What it then tells each kernel is the same, in the
 * same order. A change of a lockspace's members, whether one joins, leaves or fails, is:
 *
 * 1. stop: `control` 0 on all members, so that no request is served with the old membership;
 * 2. update: `spaces/<lockspace>/nodes/<id>` made or removed on all of them;
 * 3. start: `control` 1 on all of them, from which the kernels recover by themselves;
 * 4. whoever joins or leaves is told that it may go on: `event_done` 0.
 *
 * All changes of a cluster are made one after the other. Before a lockspace is changed again, its
 * members are given the time to finish recovering from the last change, and who leaves to close its
 * connections: changes at a speed that dlm_controld never has make kernel 6.1 lose count of its
 * connections ("shutdown stuck") and wait three minutes. Only a failure waits for nothing, because
 * it may be what the others wait for.
 */

import { createHash } from 'node:crypto';
import { appendFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';

import { VmError, messageOf } from './errors.js';
import { Hands, type LockspaceEvent } from './hands.js';
import type { EvictOptions, Membership } from './membership.js';
import { nodeAddress, type GuestNode } from './guest-node.js';

const CLUSTER = '/sys/kernel/config/dlm/cluster';

/** What is written where; see guest/dlm-hands.c for the verbs. */
const actions = {
  setUp: [
    `mkdir ${CLUSTER}`,
    // Lockspaces that the kernel makes for itself are told of recoveries, as with dlm_controld. No
    // cluster_name: ocfs2's dlmfs gives none, and only one that gives the same is let in.
    `write ${CLUSTER}/recover_callbacks 1`,
  ],
  addPeer: (id: number, local: boolean): string[] => [
    `mkdir ${CLUSTER}/comms/${id}`,
    `write ${CLUSTER}/comms/${id}/nodeid ${id}`,
    `address ${CLUSTER}/comms/${id}/addr ${nodeAddress(id)}`,
    ...(local ? [`write ${CLUSTER}/comms/${id}/local 1`] : []),
  ],
  removePeer: (id: number): string[] => [`rmdir ${CLUSTER}/comms/${id}`],
  makeSpace: (lockspace: string): string[] => [
    `mkdir ${CLUSTER}/spaces/${lockspace}`,
    `write /sys/kernel/dlm/${lockspace}/id ${lockspaceId(lockspace)}`,
  ],
  removeSpace: (lockspace: string): string[] => [`rmdir ${CLUSTER}/spaces/${lockspace}`],
  addMember: (lockspace: string, id: number): string[] => [
    `mkdir ${CLUSTER}/spaces/${lockspace}/nodes/${id}`,
    `write ${CLUSTER}/spaces/${lockspace}/nodes/${id}/nodeid ${id}`,
    `write ${CLUSTER}/spaces/${lockspace}/nodes/${id}/weight 1`,
  ],
  removeMember: (lockspace: string, id: number): string[] => [
    `rmdir ${CLUSTER}/spaces/${lockspace}/nodes/${id}`,
  ],
  stop: (lockspace: string): string[] => [`write /sys/kernel/dlm/${lockspace}/control 0`],
  start: (lockspace: string): string[] => [`write /sys/kernel/dlm/${lockspace}/control 1`],
  eventDone: (lockspace: string): string[] => [`write /sys/kernel/dlm/${lockspace}/event_done 0`],
};

/** Hexadecimal; stopping a lockspace clears it, and each step of its recovery sets a bit. */
const recoveryStatus = (lockspace: string): string => `/sys/kernel/dlm/${lockspace}/recover_status`;
const RECOVERY_DONE = 0x40;

/** A node that has the network recovers in a fraction of a second, and twenty times slower it does, too. */
const SETTLE_MS = 60_000;
const SETTLE_POLL_MS = 10;

/** The number that the kernels know a lockspace by: any, as long as all nodes use the same. */
function lockspaceId(lockspace: string): number {
  return createHash('sha256').update(lockspace).digest().readUInt32BE() || 1;
}

/** See the top of this file. */
export class HostMembership implements Membership {
  readonly #log: string;
  /** The cluster's members. */
  readonly #hands = new Map<number, Hands>();
  /** Each lockspace's members. */
  readonly #lockspaces = new Map<string, Set<number>>();
  #changes: Promise<void> = Promise.resolve();
  #failure: VmError | undefined;
  /** `id lockspace` of who waits to join. */
  readonly #joining = new Set<string>();
  /** Evictions that were asked for and are not done. */
  #evictions = 0;

  /** @param log a file that gets a line for every change. */
  constructor(log: string) {
    this.#log = log;
  }

  async form(nodes: readonly GuestNode[]): Promise<void> {
    for (const node of nodes) await this.rejoin(node);
  }

  rejoin(node: GuestNode): Promise<void> {
    return this.#change(`node ${node.id} joins the cluster`, async () => {
      const hands = await Hands.start(node, (event, lockspace) => {
        this.#onEvent(node.id, event, lockspace);
      });
      const peers = [...this.#hands.keys()];
      await hands.perform([
        ...actions.setUp,
        ...peers.flatMap((id) => actions.addPeer(id, false)),
        ...actions.addPeer(node.id, true),
      ]);
      await this.#perform(peers, actions.addPeer(node.id, false));
      this.#hands.set(node.id, hands);
    });
  }

  /**
   * Removes nodes that have failed, or that are to be treated so, from all their lockspaces and from
   * the cluster. Of a node that still runs the harness lets go. One that is no member is passed
   * over.
   */
  async evict(ids: readonly number[], options: EvictOptions = {}): Promise<void> {
    this.#evictions++;
    try {
      const what = ids.length === 1 ? `node ${ids[0]} is` : `nodes ${ids.join(' and ')} are`;
      await this.#change(`${what} evicted`, () => this.#remove(ids, options));
    } finally {
      this.#evictions--;
    }
  }

  async close(): Promise<void> {
    for (const hands of this.#hands.values()) hands.close();
    this.#hands.clear();
    await this.#changes;
  }

  async #remove(ids: readonly number[], { beforeStart }: EvictOptions): Promise<void> {
    const gone = ids.filter((id) => this.#hands.has(id));
    for (const id of gone) {
      this.#hands.get(id)?.close();
      this.#hands.delete(id);
    }
    const affected = [...this.#lockspaces].flatMap(([name, members]) => {
      const failed = gone.filter((id) => members.delete(id));
      return failed.length > 0 ? [{ name, members, failed }] : [];
    });
    for (const { name, members } of affected) await this.#perform(members, actions.stop(name));
    await this.#perform(
      this.#hands.keys(),
      gone.flatMap((id) => actions.removePeer(id)),
    );
    for (const { name, members, failed } of affected) {
      const removals = failed.flatMap((id) => actions.removeMember(name, id));
      if (beforeStart) await this.#perform(members, removals);
      else await this.#perform(members, [...removals, ...actions.start(name)]);
    }
    if (!beforeStart) return;
    await beforeStart();
    for (const { name, members } of affected) await this.#perform(members, actions.start(name));
  }

  #onEvent(id: number, event: LockspaceEvent, lockspace: string): void {
    const joining = event === 'online';
    const what = `node ${id} ${joining ? 'joins' : 'leaves'} lockspace ${lockspace}`;
    if (joining) this.#joining.add(`${id} ${lockspace}`);
    const work = joining ? this.#join(id, lockspace) : this.#leave(id, lockspace);
    this.#change(what, work).catch((error: unknown) => {
      if (this.#failure) return;
      // Nobody waits for an event, and whoever waits for what it leads to would do so for ever.
      this.#failure = new VmError('command', `${what}: ${messageOf(error)}`, { cause: error });
      process.emitWarning(`No membership changes any more: ${this.#failure.message}`);
    });
  }

  #join(id: number, lockspace: string): () => Promise<void> {
    return async () => {
      this.#joining.delete(`${id} ${lockspace}`);
      if (!this.#hands.has(id)) return;
      await this.#recovered(lockspace);
      const others = [...(this.#lockspaces.get(lockspace) ?? [])];
      const members = [...others, id];
      this.#lockspaces.set(lockspace, new Set(members));
      await this.#perform(others, actions.stop(lockspace));
      await Promise.all([
        this.#perform(others, [...actions.addMember(lockspace, id), ...actions.start(lockspace)]),
        this.#perform(
          [id],
          [
            ...actions.makeSpace(lockspace),
            ...members.flatMap((member) => actions.addMember(lockspace, member)),
            ...actions.start(lockspace),
            ...actions.eventDone(lockspace),
          ],
        ),
      ]);
    };
  }

  #leave(id: number, lockspace: string): () => Promise<void> {
    return async () => {
      const members = [...(this.#lockspaces.get(lockspace) ?? [])];
      if (!members.includes(id)) return;
      await this.#recovered(lockspace);
      const others = members.filter((member) => member !== id);
      this.#lockspaces.set(lockspace, new Set(others));
      await this.#perform(members, actions.stop(lockspace));
      await Promise.all([
        this.#perform(others, [
          ...actions.removeMember(lockspace, id),
          ...actions.start(lockspace),
        ]),
        this.#perform(
          [id],
          [
            ...actions.eventDone(lockspace),
            ...members.flatMap((member) => actions.removeMember(lockspace, member)),
            ...actions.removeSpace(lockspace),
          ],
        ),
      ]);
      await this.#settled([id], recoveryStatus(lockspace), (text) => {
        // It has left, and may have come back already.
        return text === undefined || this.#joining.has(`${id} ${lockspace}`);
      });
    };
  }

  /** Waits until all members of a lockspace have done their last recovery. */
  async #recovered(lockspace: string): Promise<void> {
    const members = [...(this.#lockspaces.get(lockspace) ?? [])];
    await this.#settled(members, recoveryStatus(lockspace), (text) => {
      return (Number.parseInt(text ?? '0', 16) & RECOVERY_DONE) !== 0;
    });
  }

  /**
   * Waits until a file of each of these nodes reads as wanted, or the node has died. It gives up
   * when a node is to be evicted, or in the end: then the network is cut, and the kernels have to
   * sort it out.
   */
  async #settled(
    ids: readonly number[],
    path: string,
    isSettled: (text: string | undefined) => boolean,
  ): Promise<void> {
    const deadline = performance.now() + SETTLE_MS;
    const isDone = async (id: number): Promise<boolean> => {
      try {
        const hands = this.#hands.get(id);
        return !hands || isSettled(await hands.read(path));
      } catch (error) {
        if (error instanceof VmError && error.code === 'gone') return true;
        throw error;
      }
    };
    while (this.#evictions === 0) {
      if (!(await Promise.all(ids.map(isDone))).includes(false)) return;
      if (performance.now() > deadline) {
        this.#note(`${path} did not settle`);
        return;
      }
      await setTimeout(SETTLE_POLL_MS);
    }
  }

  /** The same actions on several members at once. One that dies meanwhile is passed over. */
  async #perform(ids: Iterable<number>, todo: readonly string[]): Promise<void> {
    const onOne = async (id: number): Promise<void> => {
      try {
        await this.#hands.get(id)?.perform(todo);
      } catch (error) {
        // Its eviction will follow, and is all that is left to do for it.
        if (!(error instanceof VmError) || error.code !== 'gone') throw error;
      }
    };
    await Promise.all([...ids].map(onOne));
  }

  #change(what: string, work: () => Promise<void>): Promise<void> {
    const change = this.#changes.then(async () => {
      if (this.#failure) throw this.#failure;
      const started = performance.now();
      try {
        await work();
        this.#note(`${what} (${(performance.now() - started).toFixed(1)} ms)`);
      } catch (error) {
        this.#note(`${what}: failed: ${messageOf(error)}`);
        throw error;
      }
    });
    this.#changes = change.catch(() => undefined);
    return change;
  }

  #note(text: string): void {
    appendFileSync(this.#log, `${new Date().toISOString()} ${text}\n`);
  }
}
