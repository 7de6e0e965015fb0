/** Request flags for o2dlm: `flags_to_o2dlm` of fs/ocfs2/stack_o2cb.c. */
import { DLM_LKF } from '../../constants.js';

type Flag = keyof typeof DLM_LKF;

/** `LKM_*` of fs/ocfs2/dlm/dlmapi.h for each flag; 0 for those that o2dlm does not have. */
const LKM: Record<Flag, number> = {
  NOQUEUE: 0x00000200,
  CANCEL: 0x00002000,
  CONVERT: 0x00000400,
  VALBLK: 0x00000100,
  QUECVT: 0,
  IVVALBLK: 0x00008000,
  CONVDEADLK: 0,
  PERSISTENT: 0,
  NODLCKWT: 0,
  NODLCKBLK: 0,
  EXPEDITE: 0,
  NOQUEUEBAST: 0,
  HEADQUE: 0,
  NOORDER: 0,
  ORPHAN: 0x00000010,
  ALTPR: 0,
  ALTCW: 0,
  FORCEUNLOCK: 0x00800000,
  TIMEOUT: 0x00020000,
  LOCAL: 0x00000080,
};

const PAIRS = (Object.keys(LKM) as Flag[]).map((flag) => [DLM_LKF[flag], LKM[flag]] as const);

/** What seven of the flags' bits become. By the few bits and not by all their sums: a program's start waits. */
function tableFrom(shift: number): Int32Array {
  const table = new Int32Array(128);
  for (const [from, to] of PAIRS) {
    const bit = (from >> shift) & 0x7f;
    if (bit === 0) continue;
    for (let bits = bit; bits < table.length; bits = (bits + 1) | bit) {
      table[bits] = (table[bits] ?? 0) | to;
    }
  }
  return table;
}

/** Seven bits at a time: every lock and unlock asks. */
const [LOW, MIDDLE, HIGH] = [tableFrom(0), tableFrom(7), tableFrom(14)] as const;

/** The `LKM_*` flags for `DLM_LKF_*` flags. */
export function flagsToO2dlm(flags: number): number {
  return (
    (LOW[flags & 0x7f] ?? 0) |
    (MIDDLE[(flags >> 7) & 0x7f] ?? 0) |
    (HIGH[(flags >> 14) & 0x7f] ?? 0)
  );
}
