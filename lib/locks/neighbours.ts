/**
 * The open lockspaces of the emulations, whose nodes are all in this process: so that a timeout can say who
 * holds the lock. Looked at then only, so it costs a lock nothing.
 */
import { MODE_NAMES } from './modes.js';
import type { Requests } from './requests.js';
import type { LockName } from './rules.js';

interface Neighbour {
  /** Whose nodes meet. */
  readonly world: string;
  readonly group: string;
  readonly node: number;
}

/** Until they are closed or lost. */
const neighbours = new Map<Requests, Neighbour>();

/** A lockspace is open. `world` undefined: its nodes are elsewhere. */
export function addNeighbour(
  requests: Requests,
  world: string | undefined,
  group: string,
  node: number,
): void {
  if (world !== undefined) neighbours.set(requests, { world, group, node });
}

export function removeNeighbour(requests: Requests): void {
  neighbours.delete(requests);
}

/** So many holders are named. */
const NAMED_MAX = 4;

/** Who holds a lock of this name, for people: "; held by node 1 (EX)". Empty where that cannot be known. */
export function holdersOf(requests: Requests, name: LockName): string {
  const own = neighbours.get(requests);
  if (own === undefined) return '';
  const holders: string[] = [];
  for (const [each, { world, group, node }] of neighbours) {
    if (world !== own.world || group !== own.group) continue;
    for (const record of each.records) {
      if (record.lock === undefined || !isSame(record.name, name)) continue;
      if (holders.length === NAMED_MAX) return `; held by ${holders.join(', ')} and others`;
      holders.push(`node ${node} (${MODE_NAMES[record.mode] ?? ''})`);
    }
  }
  return holders.length === 0 ? '' : `; held by ${holders.join(', ')}`;
}

function isSame(a: LockName, b: LockName): boolean {
  if (typeof a === 'string' && typeof b === 'string') return a === b;
  return Buffer.from(a as string).equals(Buffer.from(b as string));
}
