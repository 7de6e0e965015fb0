/**
 * The tables of fs/ocfs2/stack_o2cb.c, written down from that file with numbers rather than names, so
 * that they do not share a mistake with lib/.
 */
import { expect } from 'chai';

import { DLM_ERRNO, DLM_LKF, DLM_LOCK } from '../../lib/glue.js';
import { flagsToO2dlm } from '../../lib/stacks/o2cb/flags.js';
import {
  STATUS_CANCELGRANT,
  o2dlmStatusName,
  statusToErrno,
} from '../../lib/stacks/o2cb/status.js';

/** Status, its name, its errno: `status_map` and include/uapi/asm-generic/errno*.h. */
const STATUSES: readonly (readonly [number, string, number])[] = [
  [0, 'DLM_NORMAL', 0],
  [1, 'DLM_GRANTED', -22],
  [2, 'DLM_DENIED', -13],
  [3, 'DLM_DENIED_NOLOCKS', -13],
  [4, 'DLM_WORKING', -13],
  [5, 'DLM_BLOCKED', -22],
  [6, 'DLM_BLOCKED_ORPHAN', -22],
  [7, 'DLM_DENIED_GRACE_PERIOD', -13],
  [8, 'DLM_SYSERR', -12],
  [9, 'DLM_NOSUPPORT', -71],
  [10, 'DLM_CANCELGRANT', -16],
  [11, 'DLM_IVLOCKID', -22],
  [12, 'DLM_SYNC', -22],
  [13, 'DLM_BADTYPE', -22],
  [14, 'DLM_BADRESOURCE', -22],
  [15, 'DLM_MAXHANDLES', -12],
  [16, 'DLM_NOCLINFO', -22],
  [17, 'DLM_NOLOCKMGR', -22],
  [18, 'DLM_NOPURGED', -22],
  [19, 'DLM_BADARGS', -22],
  [20, 'DLM_VOID', -22],
  [21, 'DLM_NOTQUEUED', -11],
  [22, 'DLM_IVBUFLEN', -22],
  [23, 'DLM_CVTUNGRANT', -1],
  [24, 'DLM_BADPARAM', -22],
  [25, 'DLM_VALNOTVALID', -22],
  [26, 'DLM_REJECTED', -1],
  [27, 'DLM_ABORT', -22],
  [28, 'DLM_CANCEL', -0x10001],
  [29, 'DLM_IVRESHANDLE', -22],
  [30, 'DLM_DEADLOCK', -35],
  [31, 'DLM_DENIED_NOASTS', -22],
  [32, 'DLM_FORWARD', -22],
  [33, 'DLM_TIMEOUT', -110],
  [34, 'DLM_IVGROUPID', -22],
  [35, 'DLM_VERS_CONFLICT', -95],
  [36, 'DLM_BAD_DEVICE_PATH', -2],
  [37, 'DLM_NO_DEVICE_PERMISSION', -1],
  [38, 'DLM_NO_CONTROL_DEVICE', -2],
  [39, 'DLM_RECOVERING', -107],
  [40, 'DLM_MIGRATING', -85],
  [41, 'DLM_MAXSTATS', -22],
];

/** `DLM_LKF_*` of include/uapi/linux/dlmconstants.h and the `LKM_*` that `flags_to_o2dlm` makes of it. */
const FLAGS: readonly (readonly [keyof typeof DLM_LKF, number, number])[] = [
  ['NOQUEUE', 0x1, 0x200],
  ['CANCEL', 0x2, 0x2000],
  ['CONVERT', 0x4, 0x400],
  ['VALBLK', 0x8, 0x100],
  ['QUECVT', 0x10, 0],
  ['IVVALBLK', 0x20, 0x8000],
  ['CONVDEADLK', 0x40, 0],
  ['PERSISTENT', 0x80, 0],
  ['NODLCKWT', 0x100, 0],
  ['NODLCKBLK', 0x200, 0],
  ['EXPEDITE', 0x400, 0],
  ['NOQUEUEBAST', 0x800, 0],
  ['HEADQUE', 0x1000, 0],
  ['NOORDER', 0x2000, 0],
  ['ORPHAN', 0x4000, 0x10],
  ['ALTPR', 0x8000, 0],
  ['ALTCW', 0x10000, 0],
  ['FORCEUNLOCK', 0x20000, 0x800000],
  ['TIMEOUT', 0x40000, 0x20000],
  ['LOCAL', 0x100000, 0x80],
];

describe('tables of the stack o2cb', () => {
  for (const [status, name, errno] of STATUSES) {
    it(`maps status ${status}, ${name}, to ${errno}`, () => {
      // Not `equal`: there is no -0 among errno values.
      expect(Object.is(statusToErrno(status), errno)).to.equal(true);
      expect(o2dlmStatusName(status)).to.equal(name);
    });
  }

  it('has no status but those: any other is a mistake of ours', () => {
    for (const status of [-1, 42, 0.5, NaN]) expect(() => statusToErrno(status)).to.throw(/status/);
  });

  it('keeps the four values that dlmglue relies on unique', () => {
    const values = STATUSES.map(([status]) => statusToErrno(status));
    for (const unique of [0, -11, -16, -DLM_ERRNO.ECANCEL]) {
      expect(values.filter((value) => value === unique)).to.have.lengthOf(1);
    }
    expect(STATUS_CANCELGRANT).to.equal(10);
  });

  for (const [name, kernel, o2dlm] of FLAGS) {
    it(`maps DLM_LKF_${name}`, () => {
      expect(DLM_LKF[name]).to.equal(kernel);
      expect(flagsToO2dlm(kernel)).to.equal(o2dlm);
    });
  }

  it('maps every flag, alone and together', () => {
    expect(FLAGS.map(([name]) => name)).to.have.members(Object.keys(DLM_LKF));
    const all = FLAGS.reduce((sum, [, kernel]) => sum | kernel, 0);
    const mapped = FLAGS.reduce((sum, [, , o2dlm]) => sum | o2dlm, 0);
    expect(flagsToO2dlm(all)).to.equal(mapped);
    expect(flagsToO2dlm(0)).to.equal(0);
  });

  it("has the kernel's modes and errno values", () => {
    expect(DLM_LOCK).to.deep.equal({ NL: 0, CR: 1, CW: 2, PR: 3, PW: 4, EX: 5 });
    expect(DLM_ERRNO).to.deep.equal({ ECANCEL: 0x10001, EUNLOCK: 0x10002, EINPROG: 0x10003 });
  });
});
