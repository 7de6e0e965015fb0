/** Whether a lockspace works, and what that means for the locks held: notices, made into one state. */
import type { ClusterNotice } from '../glue.js';

/**
 * - `ok`: requests are served.
 * - `stopped`: the members change, and requests wait. What is held stays held.
 * - `unsure`: what is held is ours as far as this node knows, but the rest of the cluster may take this node
 *   for dead, and give its locks to others.
 * - `lost`: what was held is gone.
 */
export type HealthState = 'ok' | 'stopped' | 'unsure' | 'lost';

/** Why it is in that state. */
export type HealthReason =
  | 'opened'
  | 'resumed'
  | 'membersChange'
  | 'quorumLost'
  | 'daemonGone'
  | 'keeperGone'
  | 'released'
  | 'nodeDead'
  | 'closed';

/** How a lockspace is. */
export interface Health {
  readonly state: HealthState;
  readonly reason: HealthReason;
  /** By the lockspace's clock, in milliseconds: compare with `clock.now()`. */
  readonly since: number;
}

/** What became of the locks, for people. */
export const LOSSES: Readonly<
  Record<Exclude<HealthReason, 'opened' | 'resumed' | 'membersChange'>, string>
> = {
  quorumLost: 'this part of the cluster has lost the quorum',
  daemonGone: 'the daemon that runs the lock manager (dlm_controld) has ended',
  keeperGone: 'the process that made our calls into the kernel has ended',
  released: 'somebody else on this node has released the lockspace',
  nodeDead: 'this node is dead to the cluster',
  closed: 'it was closed',
};

/** The state of one lockspace. */
export class HealthMonitor {
  readonly #now: () => number;
  #health: Health;
  #isStopped = false;
  #hasQuorum = true;
  /** The quorum is back, but nothing is certain before the lockspace runs. */
  #isRegained = false;
  #gone: 'daemonGone' | 'keeperGone' | undefined;

  constructor(now: () => number) {
    this.#now = now;
    this.#health = Object.freeze({ state: 'ok', reason: 'opened', since: now() });
  }

  get current(): Health {
    return this.#health;
  }

  /** Takes a notice. Returns whether the state is another now. */
  take(notice: ClusterNotice): boolean {
    switch (notice.kind) {
      case 'memberJoined':
      case 'memberLeft':
        return false;
      case 'stopped':
        this.#isStopped = true;
        break;
      case 'resumed':
        this.#isStopped = false;
        if (this.#isRegained) this.#hasQuorum = true;
        break;
      case 'quorumLost':
        this.#hasQuorum = this.#isRegained = false;
        break;
      case 'quorumRegained':
        this.#isRegained = true;
        if (!this.#isStopped) this.#hasQuorum = true;
        break;
      case 'daemonGone':
        this.#gone = 'daemonGone';
        break;
      case 'keeperGone':
        if (notice.locks === 'lost') return this.lose('keeperGone');
        this.#gone ??= 'keeperGone';
        break;
      case 'released':
        return this.lose('released');
      case 'killed':
        return this.lose('nodeDead');
    }
    return this.#become(...this.#derived());
  }

  /** It is over. */
  lose(reason: keyof typeof LOSSES): boolean {
    return this.#become('lost', reason);
  }

  #derived(): [HealthState, HealthReason] {
    if (this.#gone !== undefined) return ['unsure', this.#gone];
    if (!this.#hasQuorum) return ['unsure', 'quorumLost'];
    if (this.#isStopped) return ['stopped', 'membersChange'];
    return ['ok', 'resumed'];
  }

  #become(state: HealthState, reason: HealthReason): boolean {
    const { state: before, reason: reasonBefore } = this.#health;
    if (before === 'lost' || (state === before && (state === 'ok' || reason === reasonBefore))) {
      return false;
    }
    this.#health = Object.freeze({ state, reason, since: this.#now() });
    return true;
  }
}
