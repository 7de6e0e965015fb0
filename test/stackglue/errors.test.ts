/** What an error tells a program: code, errno, op, resource, status. */
import { expect } from 'chai';
import { constants } from 'node:os';

import {
  createUserPlugin,
  DLM_ERRNO,
  DlmError,
  DlmLksb,
  dlmStatusName,
  killO2cbNode,
  StackGlue,
} from '../../lib/glue.js';
import { statusToErrno } from '../../lib/stacks/o2cb/status.js';
import { disconnectTestNodes, dlmFailure, silentProtocol, TestNode } from './test-node.js';

const { EBUSY, EINVAL, ENAMETOOLONG, ENOENT, ENOTCONN } = constants.errno;

describe('errors', () => {
  afterEach(disconnectTestNodes);

  it('carry code, errno, op, resource and the name of the errno', () => {
    const error = new DlmError('ERR_DLM_CONNECT', 'why', {
      errno: ENOENT,
      op: 'connect',
      resource: 'group',
    });
    expect(error).to.be.an.instanceOf(Error);
    expect(error).to.include({
      name: 'DlmError',
      message: 'why',
      code: 'ERR_DLM_CONNECT',
      errno: ENOENT,
      op: 'connect',
      resource: 'group',
      status: 'ENOENT',
    });
    expect(String(error)).to.equal('DlmError: why');
  });

  it('prefer the name that the stack has for its status', () => {
    const details = { errno: EINVAL, op: 'lock', status: 'DLM_BADPARAM' };
    expect(new DlmError('ERR_DLM_CONNECT', '', details).status).to.equal('DLM_BADPARAM');
  });

  it('have names for all that a stack can return', () => {
    const names = {
      OK: 0,
      EAGAIN: -11,
      EDEADLK: -35,
      EOPNOTSUPP: -95,
      ENOTCONN: -107,
      ERESTART: -85,
      ECANCEL: -DLM_ERRNO.ECANCEL,
      EUNLOCK: -DLM_ERRNO.EUNLOCK,
    };
    for (const [name, status] of Object.entries(names)) {
      expect(dlmStatusName(status)).to.equal(name);
      expect(dlmStatusName(-status)).to.equal(name);
    }
    // Of o2dlm's own statuses, those that a lock can end in.
    for (let status = 0; status < 42; status += 1) {
      expect(dlmStatusName(statusToErrno(status))).to.match(/^(OK|E[A-Z]+)$/);
    }
    for (const status of [-99_999, -0x7fffffff, 0.5, NaN]) {
      expect(dlmStatusName(status)).to.equal(`status ${status}`);
    }
  });

  it('can be made of a status', () => {
    const error = DlmError.fromStatus(-DLM_ERRNO.ECANCEL, { op: 'lock', resource: 'inode/42' });
    expect(error).to.include({
      code: 'ERR_DLM_REFUSED',
      errno: DLM_ERRNO.ECANCEL,
      status: 'ECANCEL',
      op: 'lock',
      resource: 'inode/42',
      message: 'The lock of "inode/42" failed: it was cancelled (ECANCEL)',
    });
    expect(DlmError.fromStatus(-ENOTCONN, { op: 'unlock' }).message).to.match(/ENOTCONN/);
    for (const status of [0, 11, -0.5, NaN]) {
      expect(() => DlmError.fromStatus(status, { op: 'lock' }))
        .to.throw(RangeError)
        .with.property('argument', 'status');
    }
  });

  it('say which of the two reasons a stack is busy for', async () => {
    const { glue } = new TestNode();
    const options = { group: 'g', recoveryHandler: () => undefined };
    const other = await dlmFailure('ERR_DLM_STACK_BUSY', () =>
      glue.clusterConnect({ ...options, stackName: 'pcmk' }),
    );
    expect(other.message)
      .to.include('the selected stack is "o2cb"')
      .and.include('set clusterStack');
    const connection = await glue.clusterConnect({ ...options, stackName: 'o2cb' });
    await glue.clusterDisconnect(
      await glue.clusterConnect({ ...options, stackName: 'o2cb' }),
      true,
    );
    for (const use of [
      () => (glue.clusterStack = 'pcmk'),
      () => glue.clusterConnect({ ...options, stackName: 'pcmk' }),
    ]) {
      const busy = await dlmFailure('ERR_DLM_STACK_BUSY', use);
      expect(busy.message).to.include('1 connected').and.include('1 pending hangup');
    }
    glue.clusterHangup('g');
    await glue.clusterDisconnect(connection);
  });

  it('have neither errno nor status when none applies', () => {
    const error = new DlmError('ERR_DLM_ADDON', '', { op: 'load' });
    expect(error).to.include({ errno: undefined, status: undefined, resource: undefined });
  });

  it('say what the library is and who has it when libdlm is missing', async () => {
    const glue = new StackGlue();
    glue.register(createUserPlugin({ library: '/nonexistent/libdlm.so.3' }));
    glue.setLockingProtocol(silentProtocol());
    glue.clusterStack = 'pcmk';
    const error = await dlmFailure('ERR_DLM_NO_LIBRARY', () =>
      glue.clusterConnect({ stackName: 'pcmk', group: 'space', recoveryHandler: () => undefined }),
    );
    expect(error).to.include({ op: 'connect', resource: 'space' });
    expect(error.message).to.match(/install libdlm3/);
    expect(glue.activeClusterPlugin).to.equal(undefined);
  });

  for (const group of ['', '.', '..', 'a/b', 'a b', 'a\tb', 'a\nb', 'a\0b']) {
    it(`refuse the lockspace name ${JSON.stringify(group)} on the stack user`, async () => {
      const glue = new StackGlue();
      glue.register(createUserPlugin({ library: '/nonexistent/libdlm.so.3' }));
      glue.setLockingProtocol(silentProtocol());
      glue.clusterStack = 'pcmk';
      const error = await dlmFailure('ERR_DLM_GROUP_NAME', () =>
        glue.clusterConnect({ stackName: 'pcmk', group, recoveryHandler: () => undefined }),
      );
      expect(error).to.include({ op: 'connect', resource: group, errno: EINVAL });
    });
  }

  it('refuse a group name with a lone surrogate on every stack', async () => {
    for (const stack of ['o2cb', 'pcmk'] as const) {
      const node = new TestNode(0, undefined, stack);
      for (const group of ['\ud800', '\ud801', 'a\udc00']) {
        const error = await dlmFailure('ERR_DLM_GROUP_NAME', () => node.connect(group));
        expect(error).to.include({ op: 'connect', resource: group, errno: EINVAL });
        expect(error.message).to.include('lone surrogate');
      }
      await node.connect('\ufffd😀');
    }
  });

  it('refuse a lock whose name has a lone surrogate on every stack', async () => {
    for (const stack of ['o2cb', 'pcmk'] as const) {
      const node = new TestNode(0, undefined, stack);
      const connection = await node.connect();
      const lksb = new DlmLksb();
      for (const name of ['\ud800', '\ud801', 'a\udc00']) {
        expect(node.glue.dlmLock(connection, 5, lksb, 0, name)).to.equal(-EINVAL);
      }
      await node.relock(connection, lksb, '\ufffd😀');
      await node.unlock(connection, lksb);
    }
  });

  it('refuse a domain name of 64 bytes on o2cb, which has room for 63', async () => {
    const node = new TestNode();
    const group = 'g'.repeat(64);
    const error = await dlmFailure('ERR_DLM_GROUP_NAME', () => node.connect(group));
    expect(error).to.include({ op: 'connect', resource: group, errno: ENAMETOOLONG });
    const connection = await node.connect('g'.repeat(63));
    await node.glue.clusterDisconnect(connection);
  });

  it('refuse a domain name with a NUL byte on o2cb as a bad group name', async () => {
    const node = new TestNode();
    const error = await dlmFailure('ERR_DLM_GROUP_NAME', () => node.connect('a\0b'));
    expect(error).to.include({ op: 'connect', resource: 'a\0b', errno: EINVAL });
  });

  it('name the operation on a connection that is gone', async () => {
    const node = new TestNode();
    const connection = await node.connect('gone');
    const lksb = await node.lock(connection, 'l');
    const disconnecting = node.glue.clusterDisconnect(connection);
    const calls = {
      disconnect: () => node.glue.clusterDisconnect(connection),
      thisNode: () => node.glue.clusterThisNode(connection),
      lock: () => node.glue.dlmLock(connection, 5, new DlmLksb(), 0, 'm'),
      unlock: () => node.glue.dlmUnlock(connection, lksb, 0),
    };
    for (const state of ['disconnecting', 'disconnected']) {
      expect(connection.state).to.equal(state);
      for (const [op, call] of Object.entries(calls)) {
        const error = await dlmFailure('ERR_DLM_DISCONNECTED', call);
        expect(error).to.include({ op, resource: 'gone', errno: ENOTCONN });
        expect(error.message).to.include(state === 'disconnecting' ? 'disconnect' : state);
      }
      await disconnecting;
    }
    expect(connection.ref()).to.equal(connection);
    expect(connection.unref()).to.equal(connection);
  });

  it('tell which rule a lock status block breaks, and for which call', async () => {
    const node = new TestNode();
    const { glue } = node;
    const [first, second] = [await node.connect('first'), await node.connect('second')];
    const lksb = await node.lock(first, 'l');
    const busy = await dlmFailure('ERR_DLM_LKSB_BUSY', () => glue.dlmLock(first, 5, lksb, 0, 'l'));
    expect(busy).to.include({ op: 'lock', errno: EBUSY });
    for (const [op, call] of Object.entries({
      lock: () => glue.dlmLock(second, 5, lksb, 0, 'l'),
      unlock: () => glue.dlmUnlock(second, lksb, 0),
    })) {
      const wrong = await dlmFailure('ERR_DLM_WRONG_CONNECTION', call);
      expect(wrong).to.include({ op, errno: EINVAL });
    }
    const fresh = new DlmLksb();
    for (const [op, call] of Object.entries({
      unlock: () => glue.dlmUnlock(first, fresh, 0),
      lockStatus: () => glue.dlmLockStatus(fresh),
      lockFlags: () => glue.dlmLockFlags(fresh),
      lvbValid: () => glue.dlmLvbValid(fresh),
      lvb: () => glue.dlmLvb(fresh),
      dumpLksb: () => glue.dlmDumpLksb(fresh),
    })) {
      expect(await dlmFailure('ERR_DLM_LKSB_UNUSED', call)).to.include({ op, errno: EINVAL });
    }
    await glue.clusterDisconnect(first);
    await glue.clusterDisconnect(second);
  });

  it('tell that a node to kill is nowhere', async () => {
    const error = await dlmFailure('ERR_DLM_CONNECT', () => killO2cbNode(9, 'no such cluster'));
    expect(error).to.include({ op: 'killNode', resource: '9', errno: ENOENT });
    expect(error.status).to.equal('ENOENT');
  });
});
