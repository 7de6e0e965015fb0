/** What native code tells of a group, as a connection's notice handler is to hear it. */
import { NoticeKind } from '../native.js';
import type { ClusterMembership, ClusterNotice } from '../stackglue/notices.js';

/**
 * The notice of one of {@link NoticeKind}; not of `nodeFailed`, which is the recovery handler's.
 *
 * @param needsKeeper whether the locks are lost with the keeper.
 */
export function toNotice(kind: number, node: number, needsKeeper: boolean): ClusterNotice {
  switch (kind) {
    case NoticeKind.nodeJoined:
      return { kind: 'memberJoined', node, locks: 'valid' };
    case NoticeKind.nodeLeft:
      return { kind: 'memberLeft', node, locks: 'valid' };
    case NoticeKind.stopped:
      return { kind: 'stopped', locks: 'valid' };
    case NoticeKind.resumed:
      return { kind: 'resumed', locks: 'valid' };
    case NoticeKind.released:
      return { kind: 'released', locks: 'lost' };
    case NoticeKind.quorumLost:
      return { kind: 'quorumLost', locks: 'unsure' };
    case NoticeKind.quorumRegained:
      return { kind: 'quorumRegained', locks: 'unsure' };
    case NoticeKind.daemonGone:
      return { kind: 'daemonGone', locks: 'unsure' };
    case NoticeKind.killed:
      return { kind: 'killed', locks: 'lost' };
    case NoticeKind.keeperGone:
      return { kind: 'keeperGone', locks: needsKeeper ? 'lost' : 'valid' };
    default:
      throw new Error(`stackglue: no notice ${kind}`);
  }
}

/** What native code knows of the membership, if it knows anything. */
export function toMembership(
  known: readonly [ring: number, isQuorate: boolean] | undefined,
): ClusterMembership | undefined {
  if (known === undefined || known[0] === 0) return undefined;
  return { ring: known[0], isQuorate: known[1] };
}
