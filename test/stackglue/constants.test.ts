/** The constants against the headers that the kernel ships to user space. */
import { expect } from 'chai';
import { readFileSync } from 'node:fs';

import { DLM_ERRNO, DLM_LKF, DLM_LOCK, DLM_SBF, GROUP_NAME_MAX } from '../../lib/glue.js';

/** The `#define`s of a header whose value is a number. */
function defines(path: string): Map<string, number> {
  const text = readFileSync(path, 'utf8');
  return new Map(
    [...text.matchAll(/^#define\s+(\w+)\s+\(?(-?\w+)\)?/gm)].map(([, name = '', value]) => [
      name,
      Number(value),
    ]),
  );
}

describe('constants', () => {
  const header = defines('/usr/include/linux/dlmconstants.h');
  const uapi = defines('/usr/include/linux/dlm.h');

  it("have the kernel's lock modes", () => {
    const theirs = [...header].filter(([name]) => /^DLM_LOCK_(?!IV)/.test(name));
    expect(
      Object.entries(DLM_LOCK).map(([name, mode]) => [`DLM_LOCK_${name}`, mode]),
    ).to.deep.equal(theirs);
  });

  it('have every request flag of the kernel, and LOCAL of stackglue.h', () => {
    const { LOCAL, ...shared } = DLM_LKF;
    const theirs = [...header].filter(([name]) => name.startsWith('DLM_LKF_'));
    expect(Object.entries(shared).map(([name, bit]) => [`DLM_LKF_${name}`, bit])).to.deep.equal(
      theirs,
    );
    expect(LOCAL).to.equal(0x00100000);
  });

  it("have the kernel's status flags", () => {
    const theirs = [...uapi].filter(([name]) => name.startsWith('DLM_SBF_'));
    expect(Object.entries(DLM_SBF).map(([name, bit]) => [`DLM_SBF_${name}`, bit])).to.deep.equal(
      theirs,
    );
  });

  it("have the DLM's own errno values and name length", () => {
    const both = new Map([...header, ...uapi]);
    expect(both.get('DLM_ECANCEL')).to.equal(DLM_ERRNO.ECANCEL);
    expect(both.get('DLM_EUNLOCK')).to.equal(DLM_ERRNO.EUNLOCK);
    expect(both.get('DLM_LOCKSPACE_LEN')).to.equal(GROUP_NAME_MAX);
  });
});
