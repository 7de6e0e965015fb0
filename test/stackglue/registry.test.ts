/** The registry's rules: fs/ocfs2/stackglue.c, from `ocfs2_stack_lookup` to `ocfs2_stack_driver_put`. */
import { expect } from 'chai';
import { constants } from 'node:os';

import { StackGlue, type ClusterConnection } from '../../lib/glue.js';
import { dlmFailure, failure, fakePlugin, silentProtocol } from './test-node.js';

const { EBUSY, EEXIST, EINVAL, ENOENT } = constants.errno;

function connect(glue: StackGlue, stackName?: string, group = 'group'): Promise<ClusterConnection> {
  return glue.clusterConnect({ stackName, group, recoveryHandler: () => undefined });
}

describe('stack glue registry', () => {
  let glue: StackGlue;

  beforeEach(() => {
    glue = new StackGlue();
    glue.setLockingProtocol(silentProtocol());
  });

  describe('registering', () => {
    it('lists plugins newest first', () => {
      expect(glue.loadedClusterPlugins).to.deep.equal([]);
      glue.register(fakePlugin('o2cb'));
      glue.register(fakePlugin('user'));
      expect(glue.loadedClusterPlugins).to.deep.equal(['user', 'o2cb']);
    });

    it("hands out a list that is nobody else's", () => {
      glue.register(fakePlugin('o2cb'));
      glue.loadedClusterPlugins.pop();
      expect(glue.loadedClusterPlugins).to.deep.equal(['o2cb']);
    });

    it('refuses a second plugin of a name with EEXIST and keeps the first', async () => {
      const first = fakePlugin('o2cb', { thisNode: () => 1 });
      glue.register(first);
      const error = await dlmFailure('ERR_DLM_STACK_EXISTS', () =>
        glue.register(fakePlugin('o2cb', { thisNode: () => 2 })),
      );
      expect(error).to.include({ errno: EEXIST, op: 'register', resource: 'o2cb' });
      const connection = await connect(glue, 'o2cb');
      expect(glue.clusterThisNode(connection)).to.equal(1);
    });

    it('refuses the same plugin twice', async () => {
      const plugin = fakePlugin('o2cb');
      glue.register(plugin);
      await dlmFailure('ERR_DLM_STACK_EXISTS', () => glue.register(plugin));
      expect(glue.loadedClusterPlugins).to.deep.equal(['o2cb']);
    });

    it('unregisters, and then another plugin of that name can come', () => {
      const plugin = fakePlugin('o2cb');
      glue.register(plugin);
      glue.unregister(plugin);
      expect(glue.loadedClusterPlugins).to.deep.equal([]);
      glue.register(fakePlugin('o2cb'));
    });

    it('does not unregister what is not registered, even by the name of one that is', async () => {
      await dlmFailure('ERR_DLM_STACK_UNKNOWN', () => glue.unregister(fakePlugin('o2cb')));
      glue.register(fakePlugin('o2cb'));
      const error = await dlmFailure('ERR_DLM_STACK_UNKNOWN', () =>
        glue.unregister(fakePlugin('o2cb')),
      );
      expect(error).to.include({ op: 'unregister', resource: 'o2cb', errno: ENOENT });
      expect(glue.loadedClusterPlugins).to.deep.equal(['o2cb']);
    });

    it('does not unregister a plugin in use, does so after the last disconnect', async () => {
      const plugin = fakePlugin('o2cb');
      glue.register(plugin);
      const first = await connect(glue, 'o2cb');
      const second = await connect(glue, 'o2cb', 'other');
      await glue.clusterDisconnect(first);
      const error = await dlmFailure('ERR_DLM_STACK_IN_USE', () => glue.unregister(plugin));
      expect(error).to.include({ errno: EBUSY, op: 'unregister' });
      await glue.clusterDisconnect(second);
      glue.unregister(plugin);
    });

    it('unregisters a plugin while another one is in use', async () => {
      const user = fakePlugin('user');
      glue.register(fakePlugin('o2cb'));
      glue.register(user);
      await connect(glue, 'o2cb');
      glue.unregister(user);
      expect(glue.loadedClusterPlugins).to.deep.equal(['o2cb']);
    });
  });

  describe('choosing a stack', () => {
    it('takes o2cb for no name and for an empty one', async () => {
      glue.register({ ...fakePlugin('o2cb'), scope: 'cluster' });
      const unnamed = await connect(glue);
      const empty = await connect(glue, '');
      expect(glue.activeClusterPlugin).to.equal('o2cb');
      await glue.clusterDisconnect(unnamed);
      await glue.clusterDisconnect(empty);
    });

    it('starts with o2cb selected', () => {
      expect(glue.clusterStack).to.equal('o2cb');
    });

    for (const label of ['pcmk', 'cman', 'user', 'O2CB', 'o2c ']) {
      it(`serves "${label}" by the plugin "user"`, async () => {
        glue.register(fakePlugin('user'));
        glue.clusterStack = label;
        const connection = await connect(glue, label);
        expect(glue.activeClusterPlugin).to.equal('user');
        await glue.clusterDisconnect(connection);
      });
    }

    for (const label of ['a', 'abc', 'abcde', 'o2cb\n', 'o2cb ']) {
      it(`refuses the label ${JSON.stringify(label)}, which is not of four characters`, async () => {
        glue.register(fakePlugin('o2cb'));
        const error = await dlmFailure('ERR_DLM_STACK_LABEL', () => connect(glue, label));
        expect(error).to.include({ errno: EINVAL, op: 'connect', resource: label });
        await dlmFailure('ERR_DLM_STACK_LABEL', () => (glue.clusterStack = label));
        expect(glue.clusterStack).to.equal('o2cb');
        expect(glue.activeClusterPlugin).to.equal(undefined);
      });
    }

    it('refuses an empty label as the selected stack', async () => {
      await dlmFailure('ERR_DLM_STACK_LABEL', () => (glue.clusterStack = ''));
    });

    it('refuses a stack that is not the selected one with EBUSY, whether or not it is there', async () => {
      glue.register(fakePlugin('o2cb'));
      glue.register(fakePlugin('user'));
      const error = await dlmFailure('ERR_DLM_STACK_BUSY', () => connect(glue, 'pcmk'));
      expect(error).to.include({ errno: EBUSY, op: 'connect', resource: 'pcmk' });
      glue.clusterStack = 'pcmk';
      await dlmFailure('ERR_DLM_STACK_BUSY', () => connect(glue, 'o2cb'));
      await dlmFailure('ERR_DLM_STACK_BUSY', () => connect(glue));
      expect(glue.activeClusterPlugin).to.equal(undefined);
    });

    it('does not ask the loader for a stack that is not the selected one', async () => {
      const asked: string[] = [];
      glue.setPluginLoader((name) => void asked.push(name));
      await dlmFailure('ERR_DLM_STACK_BUSY', () => connect(glue, 'pcmk'));
      expect(asked).to.deep.equal([]);
    });

    it('cannot select another stack while one is in use, but the same again', async () => {
      glue.register(fakePlugin('o2cb'));
      const connection = await connect(glue, 'o2cb');
      const error = await dlmFailure('ERR_DLM_STACK_BUSY', () => (glue.clusterStack = 'pcmk'));
      expect(error).to.include({ errno: EBUSY, op: 'clusterStack' });
      glue.clusterStack = 'o2cb';
      await glue.clusterDisconnect(connection);
      glue.clusterStack = 'pcmk';
      expect(glue.clusterStack).to.equal('pcmk');
    });

    it('is busy from the moment that a connect begins', async () => {
      let joined!: () => void;
      const joining = new Promise<void>((resolve) => (joined = resolve));
      glue.register(fakePlugin('o2cb', { connect: () => joining }));
      const connecting = connect(glue, 'o2cb');
      expect(glue.activeClusterPlugin).to.equal('o2cb');
      await dlmFailure('ERR_DLM_STACK_BUSY', () => (glue.clusterStack = 'pcmk'));
      joined();
      await glue.clusterDisconnect(await connecting);
      expect(glue.activeClusterPlugin).to.equal(undefined);
    });

    it('lets the plugin go when connecting fails', async () => {
      const cause = new Error('no');
      const plugin = fakePlugin('o2cb', { connect: () => Promise.reject(cause) });
      glue.register(plugin);
      let caught: unknown;
      await connect(glue, 'o2cb').catch((error: unknown) => (caught = error));
      expect(caught).to.equal(cause);
      expect(glue.activeClusterPlugin).to.equal(undefined);
      glue.unregister(plugin);
    });

    it('keeps the plugin when disconnecting fails, and the connection works on', async () => {
      let fails = true;
      const plugin = fakePlugin('o2cb', {
        disconnect: () => (fails ? Promise.reject(new Error('not now')) : Promise.resolve()),
      });
      glue.register(plugin);
      const connection = await connect(glue, 'o2cb');
      expect(await failure(() => glue.clusterDisconnect(connection))).to.include({
        message: 'not now',
      });
      expect(connection.state).to.equal('connected');
      expect(glue.activeClusterPlugin).to.equal('o2cb');
      expect(glue.clusterThisNode(connection)).to.equal(7);
      fails = false;
      await glue.clusterDisconnect(connection);
      expect(glue.activeClusterPlugin).to.equal(undefined);
    });
  });

  describe('loading a plugin', () => {
    it('fails with ENOENT when there is none and no loader', async () => {
      const error = await dlmFailure('ERR_DLM_STACK_UNKNOWN', () => connect(glue, 'o2cb'));
      expect(error).to.include({ errno: ENOENT, op: 'connect', resource: 'o2cb' });
    });

    it('asks the loader once, for the plugin rather than the label, and fails with ENOENT', async () => {
      const asked: string[] = [];
      glue.setPluginLoader((name) => void asked.push(name));
      glue.clusterStack = 'pcmk';
      await dlmFailure('ERR_DLM_STACK_UNKNOWN', () => connect(glue, 'pcmk'));
      expect(asked).to.deep.equal(['user']);
      await dlmFailure('ERR_DLM_STACK_UNKNOWN', () => connect(glue, 'pcmk'));
      expect(asked).to.deep.equal(['user', 'user']);
    });

    it('uses what the loader registers, at once or later', async () => {
      for (const isLate of [false, true]) {
        const plugin = fakePlugin('o2cb');
        glue.setPluginLoader(async (name) => {
          if (isLate) await new Promise(setImmediate);
          expect(name).to.equal('o2cb');
          glue.register(plugin);
        });
        const connection = await connect(glue, 'o2cb');
        expect(glue.activeClusterPlugin).to.equal('o2cb');
        await glue.clusterDisconnect(connection);
        glue.unregister(plugin);
      }
    });

    it('does not ask the loader for a plugin that is registered', async () => {
      const asked: string[] = [];
      glue.setPluginLoader((name) => void asked.push(name));
      glue.register(fakePlugin('o2cb'));
      await glue.clusterDisconnect(await connect(glue, 'o2cb'));
      expect(asked).to.deep.equal([]);
    });

    it('hands on what the loader throws', async () => {
      const cause = new Error('cannot load');
      glue.setPluginLoader(() => Promise.reject(cause));
      const caught: unknown = await connect(glue, 'o2cb').catch((error: unknown) => error);
      expect(caught).to.equal(cause);
      expect(glue.activeClusterPlugin).to.equal(undefined);
      glue.setPluginLoader(undefined);
      await dlmFailure('ERR_DLM_STACK_UNKNOWN', () => connect(glue, 'o2cb'));
    });

    it('looks at the selected stack again after the loader', async () => {
      glue.setPluginLoader(() => {
        glue.register(fakePlugin('o2cb'));
        glue.clusterStack = 'pcmk';
      });
      await dlmFailure('ERR_DLM_STACK_BUSY', () => connect(glue, 'o2cb'));
    });
  });

  describe('hangup', () => {
    beforeEach(() => glue.register(fakePlugin('o2cb')));

    it('keeps the stack pinned from a disconnect with hangup pending to the hangup', async () => {
      const connection = await connect(glue, 'o2cb');
      await glue.clusterDisconnect(connection, true);
      expect(connection.state).to.equal('disconnected');
      expect(glue.activeClusterPlugin).to.equal('o2cb');
      await dlmFailure('ERR_DLM_STACK_BUSY', () => (glue.clusterStack = 'pcmk'));
      glue.clusterHangup('group');
      expect(glue.activeClusterPlugin).to.equal(undefined);
    });

    it('counts one pin for each disconnect with hangup pending', async () => {
      for (const group of ['a', 'a', 'b']) {
        await glue.clusterDisconnect(await connect(glue, 'o2cb', group), true);
      }
      glue.clusterHangup('a');
      glue.clusterHangup('b');
      expect(glue.activeClusterPlugin).to.equal('o2cb');
      glue.clusterHangup('a');
      expect(glue.activeClusterPlugin).to.equal(undefined);
    });

    it('refuses a hangup that is not pending, and pins and connections stay as they are', async () => {
      const error = await dlmFailure('ERR_DLM_NO_HANGUP', () => glue.clusterHangup('group'));
      expect(error).to.include({ op: 'hangup', resource: 'group', errno: EINVAL });
      const connection = await connect(glue, 'o2cb');
      await dlmFailure('ERR_DLM_NO_HANGUP', () => glue.clusterHangup('group'));
      await glue.clusterDisconnect(connection, true);
      await dlmFailure('ERR_DLM_NO_HANGUP', () => glue.clusterHangup('other'));
      expect(glue.activeClusterPlugin).to.equal('o2cb');
      glue.clusterHangup('group');
      await dlmFailure('ERR_DLM_NO_HANGUP', () => glue.clusterHangup('group'));
    });
  });

  describe('group names', () => {
    beforeEach(() => glue.register(fakePlugin('o2cb')));

    for (const [what, group] of [
      ['64 ASCII characters', 'g'.repeat(64)],
      ['32 characters of two bytes', 'ä'.repeat(32)],
      ['16 characters of four bytes', '😀'.repeat(16)],
    ] as const) {
      it(`takes ${what}`, async () => {
        const connection = await connect(glue, 'o2cb', group);
        expect(connection.name).to.equal(group);
        await glue.clusterDisconnect(connection);
      });
    }

    for (const [what, group] of [
      ['65 ASCII characters', 'g'.repeat(65)],
      ['33 characters of two bytes', 'ä'.repeat(33)],
      ['63 ASCII characters and one of two bytes', `${'g'.repeat(63)}ä`],
    ] as const) {
      it(`refuses ${what}, before it asks for the stack`, async () => {
        const error = await dlmFailure('ERR_DLM_GROUP_NAME', () => connect(glue, 'pcmk', group));
        expect(error).to.include({ errno: EINVAL, op: 'connect', resource: group });
      });
    }
  });
});
