/** Versions: `ocfs2_stack_glue_set_max_proto_version`, and what o2dlm makes of them when joining. */
import { expect } from 'chai';
import { constants } from 'node:os';

import { createO2cbPlugin, StackGlue, type LockingProtocol } from '../../lib/glue.js';
import { dlmFailure, fakePlugin, freshCluster, silentProtocol } from './test-node.js';

const { EINVAL, EPROTO } = constants.errno;

function connect(glue: StackGlue, protocol?: LockingProtocol) {
  return glue.clusterConnect({
    stackName: 'o2cb',
    group: 'group',
    protocol,
    recoveryHandler: () => undefined,
  });
}

describe('locking protocol', () => {
  describe('of the glue', () => {
    let glue: StackGlue;
    beforeEach(() => (glue = new StackGlue()));

    it('is none at first', () => {
      expect(glue.maxLockingProtocol).to.equal(undefined);
    });

    it('reads as "major.minor" once it is set', () => {
      glue.setMaxProtoVersion({ major: 1, minor: 0 });
      expect(glue.maxLockingProtocol).to.equal('1.0');
      const other = new StackGlue();
      other.setLockingProtocol(silentProtocol(255, 255));
      expect(other.maxLockingProtocol).to.equal('255.255');
    });

    it('cannot change once its major is not zero, and stays as it was', async () => {
      glue.setMaxProtoVersion({ major: 1, minor: 2 });
      for (const [major, minor] of [
        [1, 3],
        [1, 1],
        [2, 2],
        [0, 0],
      ] as const) {
        const error = await dlmFailure('ERR_DLM_PROTOCOL', () =>
          glue.setMaxProtoVersion({ major, minor }),
        );
        expect(error).to.include({ errno: EINVAL, op: 'setMaxProtoVersion' });
        expect(error.message).to.include('1.2').and.include(`${major}.${minor}`);
      }
      expect(glue.maxLockingProtocol).to.equal('1.2');
    });

    it('is that of the first connection where none was set, and stays it', async () => {
      glue.register(fakePlugin('o2cb'));
      const connection = await connect(glue, silentProtocol(1, 2));
      expect(glue.maxLockingProtocol).to.equal('1.2');
      const error = await dlmFailure('ERR_DLM_PROTOCOL', () => connect(glue, silentProtocol(1, 3)));
      expect(error.message).to.include('1.2').and.include('1.3');
      await glue.clusterDisconnect(connection);
    });

    it('is none after a connect for which there was no plugin', async () => {
      await dlmFailure('ERR_DLM_STACK_UNKNOWN', () => connect(glue, silentProtocol(1, 2)));
      expect(glue.maxLockingProtocol).to.equal(undefined);
    });

    it('is one, though two connections bring theirs at once', async () => {
      glue.register(fakePlugin('o2cb'));
      const both = [silentProtocol(1, 2), silentProtocol(1, 3)].map((each) => connect(glue, each));
      const [first, second] = await Promise.allSettled(both);
      expect([first?.status, second?.status]).to.deep.equal(['fulfilled', 'rejected']);
      expect(second).to.have.nested.property('reason.code', 'ERR_DLM_PROTOCOL');
      expect(glue.maxLockingProtocol).to.equal('1.2');
      expect(glue.activeClusterPlugin).to.equal('o2cb');
    });

    it('can be set to the same again', () => {
      glue.setMaxProtoVersion({ major: 1, minor: 2 });
      glue.setMaxProtoVersion({ major: 1, minor: 2 });
      glue.setLockingProtocol(silentProtocol(1, 2));
    });

    it('can change as long as its major is zero', () => {
      glue.setMaxProtoVersion({ major: 0, minor: 3 });
      expect(glue.maxLockingProtocol).to.equal(undefined);
      glue.setMaxProtoVersion({ major: 0, minor: 4 });
      glue.setMaxProtoVersion({ major: 5, minor: 6 });
      expect(glue.maxLockingProtocol).to.equal('5.6');
    });

    it('is copied: what the caller does to its object later changes nothing', () => {
      const version = { major: 1, minor: 0 };
      glue.setMaxProtoVersion(version);
      version.minor = 9;
      expect(glue.maxLockingProtocol).to.equal('1.0');
    });

    it('keeps the handlers that were set, when new ones come with another version', async () => {
      glue.register(fakePlugin('o2cb'));
      const first = silentProtocol(1, 0);
      glue.setLockingProtocol(first);
      await dlmFailure('ERR_DLM_PROTOCOL', () => glue.setLockingProtocol(silentProtocol(1, 1)));
      expect((await connect(glue)).protocol).to.equal(first);
    });

    it('takes new handlers of the same version, for later connections only', async () => {
      glue.register(fakePlugin('o2cb'));
      const protocols = [silentProtocol(), silentProtocol()] as const;
      glue.setLockingProtocol(protocols[0]);
      const first = await connect(glue);
      glue.setLockingProtocol(protocols[1]);
      const second = await connect(glue);
      expect(first.protocol).to.equal(protocols[0]);
      expect(second.protocol).to.equal(protocols[1]);
    });

    it('refuses a connection whose protocol is of another version', async () => {
      glue.register(fakePlugin('o2cb'));
      glue.setLockingProtocol(silentProtocol(1, 5));
      for (const [major, minor] of [
        [1, 4],
        [1, 6],
        [2, 5],
      ] as const) {
        const error = await dlmFailure('ERR_DLM_PROTOCOL', () =>
          connect(glue, silentProtocol(major, minor)),
        );
        expect(error).to.include({ errno: EINVAL, op: 'connect', resource: 'group' });
      }
      expect(glue.activeClusterPlugin).to.equal(undefined);
    });

    it('compares the protocol before it looks for the stack', async () => {
      glue.setMaxProtoVersion({ major: 1, minor: 0 });
      await dlmFailure('ERR_DLM_PROTOCOL', () => connect(glue, silentProtocol(2, 0)));
      await dlmFailure('ERR_DLM_STACK_UNKNOWN', () => connect(glue, silentProtocol(1, 0)));
    });

    it('lets a connection bring its handlers when only the version was set', async () => {
      glue.register(fakePlugin('o2cb'));
      glue.setMaxProtoVersion({ major: 1, minor: 0 });
      const protocol = silentProtocol();
      const connection = await connect(glue, protocol);
      expect(connection.protocol).to.equal(protocol);
      expect(connection.version).to.deep.equal({ major: 1, minor: 0 });
    });
  });

  describe('of an o2cb domain', () => {
    let cluster: string;
    beforeEach(() => (cluster = freshCluster()));

    function nodeSpeaking(node: number, major: number, minor: number): StackGlue {
      const glue = new StackGlue();
      glue.register(createO2cbPlugin({ node, cluster }));
      glue.setLockingProtocol(silentProtocol(major, minor));
      return glue;
    }

    it('is that of the first node', async () => {
      const glue = nodeSpeaking(1, 3, 7);
      const connection = await connect(glue);
      expect(connection.version).to.deep.equal({ major: 3, minor: 7 });
      await glue.clusterDisconnect(connection);
    });

    it('runs a newer node down to the minor that is there', async () => {
      const old = nodeSpeaking(1, 1, 2);
      const young = nodeSpeaking(2, 1, 9);
      const first = await connect(old);
      const second = await connect(young);
      expect(second.version).to.deep.equal({ major: 1, minor: 2 });
      await old.clusterDisconnect(first);
      // The version is the domain's, not its first node's.
      const third = await connect(young);
      expect(third.version).to.deep.equal({ major: 1, minor: 2 });
      await young.clusterDisconnect(second);
      await young.clusterDisconnect(third);
      const fourth = await connect(young);
      expect(fourth.version).to.deep.equal({ major: 1, minor: 9 });
      await young.clusterDisconnect(fourth);
    });

    for (const [what, major, minor] of [
      ['a higher major', 3, 0],
      ['a lower major', 1, 5],
      ['a lower minor', 2, 4],
    ] as const) {
      it(`refuses a node with ${what} with EPROTO`, async () => {
        const there = nodeSpeaking(1, 2, 5);
        const late = nodeSpeaking(2, major, minor);
        const connection = await connect(there);
        const error = await dlmFailure('ERR_DLM_PROTOCOL', () => connect(late));
        expect(error).to.include({ errno: EPROTO, op: 'connect', resource: 'group' });
        expect(late.activeClusterPlugin).to.equal(undefined);
        await there.clusterDisconnect(connection);
        await late.clusterDisconnect(await connect(late));
      });
    }
  });
});
