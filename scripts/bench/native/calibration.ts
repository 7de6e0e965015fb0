/** Makes the device double take as long for a request and its result as fs/dlm itself. */
import { thisMachine } from '../host.js';
import { makeRow, type Row } from '../result.js';
import type { NativeWorld, Work } from './world.js';

/** What dlm_cost.c says: nanoseconds above those of a call that does nothing. */
interface Cost {
  /** write(2) of a lock, or of its unlock. */
  readonly lock: number;
  readonly unlock: number;
  /** read(2) of a result, and where there is none. */
  readonly result: number;
  readonly nothing: number;
}

/** The depths at which fs/dlm was measured. README.md says where, and how to repeat it. */
export type Depth = 1 | 64 | 200;

/** What dlm_cost.c said of fs/dlm, kernel 6.1; medians of three runs. */
const KERNEL: Record<Depth, Cost> = {
  1: { lock: 1312, unlock: 872, result: 381, nothing: 90 },
  64: { lock: 1192, unlock: 882, result: 571, nothing: 531 },
  200: { lock: 1222, unlock: 852, result: 581, nothing: 541 },
};

/** How long the double has to work, and rows that tell how near to the kernel that makes it. */
export interface Calibration {
  readonly work: Work;
  readonly rows: readonly Row[];
}

/** In rows' names. */
const LABELS: Record<keyof Cost, string> = {
  lock: 'write of a lock',
  unlock: 'write of an unlock',
  result: 'read of a result',
  nothing: 'read of nothing',
};

/**
 * Measures the double as it is and lets it work for what is missing. That is of a request and its
 * result together, because the FIFO's reads take longer than fs/dlm's where many results wait.
 */
export async function calibrate(world: NativeWorld, depth: Depth): Promise<Calibration> {
  const measure = async (work: Work): Promise<Cost> =>
    JSON.parse(await world.cost(depth, work)) as Cost;
  const kernel = KERNEL[depth];
  const bare = await measure({ lock: 0, unlock: 0 });
  const missing = (kind: 'lock' | 'unlock'): number =>
    Math.max(0, kernel[kind] + kernel.result - bare[kind] - bare.result);
  const work = { lock: missing('lock'), unlock: missing('unlock') };
  const double = await measure(work);
  const keys = Object.keys(LABELS) as (keyof Cost)[];
  return {
    work,
    rows: keys.map((key) =>
      makeRow({
        name: `native, device double, depth ${depth}, ${LABELS[key]} and that of fs/dlm`,
        unit: 'ns',
        rates: [double[key]],
        references: [kernel[key]],
        target: undefined,
        machine: thisMachine(1),
      }),
    ),
  };
}
