/** The tables of the stack user. */
import { expect } from 'chai';
import { constants } from 'node:os';

import { DLM_LKF, DlmError } from '../../lib/glue.js';
import { flagsToFsdlm } from '../../lib/stacks/user/flags.js';

describe('flags of the stack user', () => {
  for (const [name, bit] of Object.entries(DLM_LKF)) {
    if (name === 'TIMEOUT' || name === 'LOCAL') continue;
    it(`hand DLM_LKF_${name} to the kernel`, () => expect(flagsToFsdlm(bit)).to.equal(bit));
  }

  it('leave out LOCAL, which fs/dlm does not have', () => {
    expect(flagsToFsdlm(DLM_LKF.LOCAL | DLM_LKF.NOQUEUE)).to.equal(DLM_LKF.NOQUEUE);
  });

  it('refuse TIMEOUT, and say what to do instead', () => {
    const refused = expect(() => flagsToFsdlm(DLM_LKF.TIMEOUT | DLM_LKF.VALBLK)).to.throw(DlmError);
    refused.with.property('code', 'ERR_DLM_TIMEOUT_FLAG');
    refused.with.property('errno', constants.errno.EINVAL);
    refused.with.property('message').that.matches(/no current kernel.*timer.*CANCEL/i);
  });
});
