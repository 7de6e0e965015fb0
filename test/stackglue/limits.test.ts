/** What a user is told who runs into a limit of the machine, and not into a part that is missing. */
import { expect } from 'chai';
import { constants } from 'node:os';

import { openError } from '../../lib/stacks/user/open-failure.js';

const { EMFILE, ENFILE, ENOENT, ENOSPC } = constants.errno;

/** `OpenFailure` of native/kernel/open_failure.h. */
const NO_MEMBERSHIP = 7;
const NO_KEEPER = 11;

describe('connecting at a limit of the machine', () => {
  for (const failure of [NO_MEMBERSHIP, NO_KEEPER]) {
    for (const [errno, limit] of [
      [EMFILE, 'fs.inotify.max_user_instances'],
      [ENFILE, 'fs.file-max'],
      [ENOSPC, 'fs.inotify.max_user_watches'],
    ] as const) {
      it(`names ${limit} where failure ${failure} has errno ${errno}`, () => {
        const error = openError('group', failure, errno, '');
        expect(error).to.include({ code: 'ERR_DLM_CONNECT', errno });
        expect(error.message)
          .to.include(limit)
          .and.not.match(/configfs|keeper/);
      });
    }
  }

  it('says what is missing otherwise', () => {
    const error = openError('group', NO_MEMBERSHIP, ENOENT, '');
    expect(error).to.include({ code: 'ERR_DLM_NO_MEMBERSHIP', errno: ENOENT });
  });
});
