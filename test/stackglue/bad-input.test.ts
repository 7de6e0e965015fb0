/**
 * Every argument of every public function in turn: of another type, out of range, missing, of another
 * connection, of another glue, after the disconnect. Each must throw an error that names the argument
 * or the rule, and change nothing: a lock is taken and given up after each.
 */
import { expect } from 'chai';

import {
  createEmulatedUserPlugin,
  createO2cbPlugin,
  createUserPlugin,
  DLM_LKF,
  DLM_LOCK,
  DlmLksb,
  killEmulatedUserNode,
  killO2cbNode,
  StackGlue,
  type ClusterConnection,
  type DlmErrorCode,
} from '../../lib/glue.js';
import {
  disconnectTestNodes,
  dlmFailure,
  failure,
  fakePlugin,
  silentProtocol,
  TestNode,
} from './test-node.js';

const { EX } = DLM_LOCK;

/** One value of each kind. */
const KINDS = {
  undefined: undefined,
  null: null,
  boolean: true,
  number: 7,
  bigint: 7n,
  string: 'text',
  symbol: Symbol('symbol'),
  function: () => undefined,
  object: {},
  array: [],
  bare: Object.create(null) as object,
};
type Kind = keyof typeof KINDS;

function allBut(...good: Kind[]): unknown[] {
  return (Object.keys(KINDS) as Kind[])
    .filter((kind) => !good.includes(kind))
    .map((kind) => KINDS[kind]);
}

const notStrings = allBut('string');
const notFunctions = allBut('function');
const notObjects = allBut('object', 'array', 'bare');
const notNumbers = allBut('number');
const optional = (values: unknown[]) => values.filter((value) => value !== undefined);

/** Numbers that are no integer from `min` to `max`. */
function outside(min: number, max: number): number[] {
  return [min - 1, max + 1, min + 0.5, NaN, Infinity, -Infinity];
}

const OPERATIONS = [
  'connect',
  'disconnect',
  'thisNode',
  'dlmLock',
  'dlmUnlock',
  'lockStatus',
  'lvbValid',
  'lockLvb',
] as const;

describe('bad input', () => {
  let node: TestNode;
  let connection: ClusterConnection;
  /** A lock that is held all the time. */
  let held: DlmLksb;

  beforeEach(async () => {
    node = new TestNode();
    connection = await node.connect();
    held = await node.lock(connection, 'held');
  });
  afterEach(disconnectTestNodes);

  /** The glue as others see it. */
  function glueState(): unknown {
    const { clusterStack, loadedClusterPlugins, activeClusterPlugin, maxLockingProtocol } =
      node.glue;
    return { clusterStack, loadedClusterPlugins, activeClusterPlugin, maxLockingProtocol };
  }

  async function changesNothing(action: () => Promise<unknown>): Promise<void> {
    const before = glueState();
    const calls = node.calls.length;
    await action();
    expect(glueState()).to.deep.equal(before);
    expect(connection.state).to.equal('connected');
    const lksb = await node.lock(connection, 'probe');
    await node.unlock(connection, lksb);
    expect(node.calls, 'calls of handlers').to.have.lengthOf(calls + 2);
    expect(node.glue.dlmLockStatus(held)).to.equal(0);
  }

  type Use = (value: never) => unknown;

  /** `use` throws a TypeError for each of the values that names the argument. */
  function wrongTypes(name: string, argument: string, values: unknown[], use: Use): void {
    it(`${name}: "${argument}" of a wrong type`, async () => {
      for (const value of values) {
        await changesNothing(async () => {
          const error = await failure(() => use(value as never));
          expect(error, error.stack).to.be.an.instanceOf(TypeError);
          expect(error).to.include({ code: 'ERR_INVALID_ARG_TYPE', argument });
          expect(error.message).to.include(`"${argument}"`);
        });
      }
    });
  }

  /** `use` throws a RangeError for each of the values that names the argument. */
  function outOfRange(name: string, argument: string, values: unknown[], use: Use): void {
    it(`${name}: "${argument}" out of range`, async () => {
      for (const value of values) {
        await changesNothing(async () => {
          const error = await failure(() => use(value as never));
          expect(error, error.stack).to.be.an.instanceOf(RangeError);
          expect(error).to.include({ code: 'ERR_OUT_OF_RANGE', argument });
          expect(error.message).to.include(`"${argument}"`);
        });
      }
    });
  }

  /** `use` breaks the rule that the code is for. */
  function breaksRule(what: string, code: DlmErrorCode, use: () => unknown): void {
    it(what, () => changesNothing(() => dlmFailure(code, use)));
  }

  describe('of the registry', () => {
    wrongTypes('register', 'plugin', notObjects, (value) => node.glue.register(value));
    wrongTypes('register', 'plugin.name', notStrings, (value) =>
      node.glue.register({ ...fakePlugin('x'), name: value }),
    );
    outOfRange('register', 'plugin.name', [''], (value) =>
      node.glue.register({ ...fakePlugin('x'), name: value }),
    );
    wrongTypes('register', 'plugin.operations', notObjects, (value) =>
      node.glue.register({ ...fakePlugin('x'), operations: value }),
    );
    for (const operation of OPERATIONS) {
      wrongTypes('register', `plugin.operations.${operation}`, notFunctions, (value) => {
        node.glue.register(fakePlugin('x', { [operation]: value }));
      });
    }
    it('register: "plugin.scope" neither process nor cluster', () =>
      changesNothing(async () => {
        const scopes = [...notStrings, '', 'host'];
        for (const scope of scopes) {
          const error = await failure(() =>
            node.glue.register({ ...fakePlugin('x'), scope: scope as never }),
          );
          expect(error).to.have.property('argument', 'plugin.scope');
        }
      }));
    wrongTypes('unregister', 'plugin', notObjects, (value) => node.glue.unregister(value));
    breaksRule('unregister: a plugin that is in use', 'ERR_DLM_STACK_IN_USE', () =>
      node.glue.unregister(node.plugin),
    );
    breaksRule('unregister: a plugin that is not registered', 'ERR_DLM_STACK_UNKNOWN', () =>
      node.glue.unregister(fakePlugin('user')),
    );
    wrongTypes('setPluginLoader', 'loader', optional(notFunctions), (value) =>
      node.glue.setPluginLoader(value),
    );
    wrongTypes('clusterStack', 'clusterStack', notStrings, (value) => {
      node.glue.clusterStack = value;
    });
    breaksRule('clusterStack: a label of five characters', 'ERR_DLM_STACK_LABEL', () => {
      node.glue.clusterStack = 'o2cb2';
    });
  });

  describe('of the protocol', () => {
    const version = { major: 1, minor: 0 };
    wrongTypes('setMaxProtoVersion', 'version', notObjects, (value) =>
      node.glue.setMaxProtoVersion(value),
    );
    wrongTypes('setLockingProtocol', 'protocol', notObjects, (value) =>
      node.glue.setLockingProtocol(value),
    );
    wrongTypes('setLockingProtocol', 'protocol.maxVersion', notObjects, (value) =>
      node.glue.setLockingProtocol({ ...silentProtocol(), maxVersion: value }),
    );
    for (const part of ['major', 'minor'] as const) {
      wrongTypes('setMaxProtoVersion', `version.${part}`, notNumbers, (value) =>
        node.glue.setMaxProtoVersion({ ...version, [part]: value }),
      );
      outOfRange('setMaxProtoVersion', `version.${part}`, outside(0, 255), (value) =>
        node.glue.setMaxProtoVersion({ ...version, [part]: value }),
      );
      wrongTypes('setLockingProtocol', `protocol.maxVersion.${part}`, notNumbers, (value) =>
        node.glue.setLockingProtocol({
          ...silentProtocol(),
          maxVersion: { ...version, [part]: value },
        }),
      );
    }
    for (const handler of ['lockAst', 'blockingAst', 'unlockAst'] as const) {
      wrongTypes('setLockingProtocol', `protocol.${handler}`, notFunctions, (value) =>
        node.glue.setLockingProtocol({ ...silentProtocol(), [handler]: value }),
      );
    }
  });

  describe('of connections', () => {
    const recoveryHandler = () => undefined;
    const good = { stackName: 'o2cb', group: 'group', recoveryHandler };
    const connect = (options: object) => node.glue.clusterConnect(options as typeof good);

    wrongTypes('clusterConnect', 'options', notObjects, (value) => connect(value));
    wrongTypes('clusterConnect', 'options.stackName', optional(notStrings), (value) =>
      connect({ ...good, stackName: value }),
    );
    wrongTypes('clusterConnect', 'options.clusterName', optional(notStrings), (value) =>
      connect({ ...good, clusterName: value }),
    );
    const notClusters = ['c'.repeat(17), 'ä'.repeat(9), '\ud800'];
    outOfRange('clusterConnect', 'options.clusterName', notClusters, (value) =>
      connect({ ...good, clusterName: value }),
    );
    wrongTypes('clusterConnect', 'options.group', notStrings, (value) =>
      connect({ ...good, group: value }),
    );
    wrongTypes('clusterConnect', 'options.recoveryHandler', notFunctions, (value) =>
      connect({ ...good, recoveryHandler: value }),
    );
    // Null is as good as absent here.
    wrongTypes(
      'clusterConnect',
      'options.protocol',
      optional(notObjects).filter((value) => value !== null),
      (value) => connect({ ...good, protocol: value }),
    );
    breaksRule('clusterConnect: a stack that is not selected', 'ERR_DLM_STACK_BUSY', () =>
      connect({ ...good, stackName: 'pcmk' }),
    );
    breaksRule('clusterConnect: a label of three characters', 'ERR_DLM_STACK_LABEL', () =>
      connect({ ...good, stackName: 'abc' }),
    );
    breaksRule('clusterConnect: a group name of 65 bytes', 'ERR_DLM_GROUP_NAME', () =>
      connect({ ...good, group: 'g'.repeat(65) }),
    );
    breaksRule('clusterConnect: a group name with a lone surrogate', 'ERR_DLM_GROUP_NAME', () =>
      connect({ ...good, group: 'g\udfff' }),
    );
    breaksRule('clusterConnect: a protocol of another version', 'ERR_DLM_PROTOCOL', () =>
      connect({ ...good, protocol: silentProtocol(1, 1) }),
    );
    it('clusterConnect: an option that there is not', () =>
      changesNothing(async () => {
        for (const [name, nearest] of [
          ['recoverHandler', 'recoveryHandler'],
          ['cluster', 'clusterName'],
          ['GROUP', 'group'],
        ] as const) {
          const error = await failure(() => connect({ ...good, [name]: undefined }));
          expect(error).to.be.an.instanceOf(TypeError);
          expect(error).to.include({
            code: 'ERR_INVALID_ARG_VALUE',
            argument: `options.${name}`,
            message: `The "options.${name}" argument is no option. Did you mean "${nearest}"?`,
          });
        }
        const error = await failure(() => connect({ ...good, verbose: true }));
        expect(error.message).to.equal('The "options.verbose" argument is no option.');
      }));
    it('clusterConnect: no protocol at all', async () => {
      const error = await failure(() => new StackGlue().clusterConnect(good));
      expect(error).to.include({ code: 'ERR_INVALID_ARG_TYPE', argument: 'options.protocol' });
    });

    const notConnections = allBut();
    wrongTypes('clusterDisconnect', 'connection', notConnections, (value) =>
      node.glue.clusterDisconnect(value),
    );
    wrongTypes('clusterDisconnect', 'hangupPending', optional(allBut('boolean')), (value) =>
      node.glue.clusterDisconnect(connection, value),
    );
    it('clusterDisconnect: a connection of another glue', async () => {
      const other = new TestNode();
      const theirs = await other.connect();
      await changesNothing(async () => {
        await failure(() => node.glue.clusterDisconnect(theirs));
        expect(theirs.state).to.equal('connected');
        expect(other.glue.activeClusterPlugin).to.equal('o2cb');
      });
      await other.glue.clusterDisconnect(theirs);
      expect(other.glue.activeClusterPlugin).to.equal(undefined);
    });
    wrongTypes('clusterHangup', 'group', notStrings, (value) => node.glue.clusterHangup(value));
    breaksRule('clusterHangup: none pending', 'ERR_DLM_NO_HANGUP', () =>
      node.glue.clusterHangup('group'),
    );
    wrongTypes('clusterThisNode', 'connection', notConnections, (value) =>
      node.glue.clusterThisNode(value),
    );
    for (const [name, use] of Object.entries({
      clusterDisconnect: (gone: ClusterConnection) => node.glue.clusterDisconnect(gone),
      clusterThisNode: (gone: ClusterConnection) => node.glue.clusterThisNode(gone),
      dlmLock: (gone: ClusterConnection) => node.glue.dlmLock(gone, EX, new DlmLksb(), 0, 'l'),
      dlmUnlock: (gone: ClusterConnection) => node.glue.dlmUnlock(gone, held, 0),
    })) {
      it(`${name}: a connection that is disconnected`, async () => {
        const gone = await node.connect('gone');
        await node.glue.clusterDisconnect(gone);
        await changesNothing(() => dlmFailure('ERR_DLM_DISCONNECTED', () => use(gone)));
      });
    }
  });

  describe('of requests', () => {
    const notLksbs = allBut();
    const badFlags = [...outside(0, 0xffffffff), 0x80000, 0x200000, 0x80000000];
    const notNames = [
      ...notStrings,
      new Uint16Array(4),
      new ArrayBuffer(4),
      new DataView(new ArrayBuffer(4)),
    ];

    wrongTypes('dlmLock', 'connection', allBut(), (value) =>
      node.glue.dlmLock(value, EX, new DlmLksb(), 0, 'l'),
    );
    wrongTypes('dlmLock', 'mode', notNumbers, (value) =>
      node.glue.dlmLock(connection, value, new DlmLksb(), 0, 'l'),
    );
    outOfRange('dlmLock', 'mode', outside(0, 5), (value) =>
      node.glue.dlmLock(connection, value, new DlmLksb(), 0, 'l'),
    );
    wrongTypes('dlmLock', 'lksb', notLksbs, (value) =>
      node.glue.dlmLock(connection, EX, value, 0, 'l'),
    );
    wrongTypes('dlmLock', 'flags', notNumbers, (value) =>
      node.glue.dlmLock(connection, EX, new DlmLksb(), value, 'l'),
    );
    outOfRange('dlmLock', 'flags', badFlags, (value) =>
      node.glue.dlmLock(connection, EX, new DlmLksb(), value, 'l'),
    );
    wrongTypes('dlmLock', 'name', notNames, (value) =>
      node.glue.dlmLock(connection, EX, new DlmLksb(), 0, value),
    );
    breaksRule('dlmLock: an lksb that has a lock', 'ERR_DLM_LKSB_BUSY', () =>
      node.glue.dlmLock(connection, EX, held, 0, 'l'),
    );
    it('dlmLock and dlmUnlock: an lksb of another connection', async () => {
      const second = await node.connect('second');
      const theirs = await node.lock(second, 'l');
      await changesNothing(async () => {
        for (const flags of [0, DLM_LKF.CONVERT]) {
          await dlmFailure('ERR_DLM_WRONG_CONNECTION', () =>
            node.glue.dlmLock(connection, EX, theirs, flags, 'm'),
          );
        }
        await dlmFailure('ERR_DLM_WRONG_CONNECTION', () =>
          node.glue.dlmUnlock(connection, theirs, 0),
        );
      });
      await node.unlock(second, theirs);
    });
    it('dlmLock: an lksb whose use was thrown out stays free for any connection', async () => {
      const second = await node.connect('second');
      const lksb = new DlmLksb();
      await failure(() => node.glue.dlmLock(connection, 9 as never, lksb, 0, 'l'));
      await failure(() => node.glue.dlmLock(connection, EX, lksb, -1, 'l'));
      await failure(() => node.glue.dlmLock(connection, EX, lksb, 0, 7 as never));
      await node.relock(second, lksb, 'l');
      await node.unlock(second, lksb);
    });

    wrongTypes('dlmUnlock', 'connection', allBut(), (value) => node.glue.dlmUnlock(value, held, 0));
    wrongTypes('dlmUnlock', 'lksb', notLksbs, (value) => node.glue.dlmUnlock(connection, value, 0));
    wrongTypes('dlmUnlock', 'flags', notNumbers, (value) =>
      node.glue.dlmUnlock(connection, held, value),
    );
    outOfRange('dlmUnlock', 'flags', badFlags, (value) =>
      node.glue.dlmUnlock(connection, held, value),
    );
    breaksRule('dlmUnlock: an lksb that was never locked', 'ERR_DLM_LKSB_UNUSED', () =>
      node.glue.dlmUnlock(connection, new DlmLksb(), 0),
    );
    for (const call of [
      'dlmLockStatus',
      'dlmLockFlags',
      'dlmLockMode',
      'dlmLvbValid',
      'dlmLvb',
      'dlmDumpLksb',
    ] as const) {
      wrongTypes(call, 'lksb', notLksbs, (value) => node.glue[call](value));
      breaksRule(`${call}: an lksb that was never locked`, 'ERR_DLM_LKSB_UNUSED', () =>
        node.glue[call](new DlmLksb()),
      );
    }
  });

  describe('of the plugins', () => {
    wrongTypes('createO2cbPlugin', 'options', optional(notObjects), (value) =>
      createO2cbPlugin(value),
    );
    wrongTypes('createO2cbPlugin', 'options.node', optional(notNumbers), (value) =>
      createO2cbPlugin({ node: value }),
    );
    outOfRange('createO2cbPlugin', 'options.node', outside(0, 254), (value) =>
      createO2cbPlugin({ node: value }),
    );
    wrongTypes('createO2cbPlugin', 'options.cluster', optional(notStrings), (value) =>
      createO2cbPlugin({ cluster: value }),
    );
    outOfRange('createO2cbPlugin', 'options.cluster', ['\ud800'], (value) =>
      createO2cbPlugin({ cluster: value }),
    );
    outOfRange('killO2cbNode', 'cluster', ['\ud800'], (value) => killO2cbNode(1, value));
    wrongTypes('killO2cbNode', 'node', notNumbers, (value) => killO2cbNode(value, 'c'));
    outOfRange('killO2cbNode', 'node', outside(0, 254), (value) => killO2cbNode(value, 'c'));
    wrongTypes('killO2cbNode', 'cluster', optional(notStrings), (value) => killO2cbNode(1, value));
    breaksRule('killO2cbNode: a node that is nowhere', 'ERR_DLM_CONNECT', () =>
      killO2cbNode(1, 'nowhere'),
    );
    wrongTypes('createEmulatedUserPlugin', 'options', optional(notObjects), (value) =>
      createEmulatedUserPlugin(value),
    );
    wrongTypes('createEmulatedUserPlugin', 'options.node', optional(notNumbers), (value) =>
      createEmulatedUserPlugin({ node: value }),
    );
    outOfRange('createEmulatedUserPlugin', 'options.node', outside(1, 2 ** 31 - 1), (value) =>
      createEmulatedUserPlugin({ node: value }),
    );
    wrongTypes('createEmulatedUserPlugin', 'options.cluster', optional(notStrings), (value) =>
      createEmulatedUserPlugin({ cluster: value }),
    );
    outOfRange('createEmulatedUserPlugin', 'options.cluster', ['\ud800'], (value) =>
      createEmulatedUserPlugin({ cluster: value }),
    );
    outOfRange('killEmulatedUserNode', 'cluster', ['\ud800'], (value) =>
      killEmulatedUserNode(1, value),
    );
    for (const option of ['create', 'exclusive', 'detectDeadlocks'] as const) {
      const values = optional(allBut('boolean'));
      wrongTypes('createEmulatedUserPlugin', `options.${option}`, values, (value) =>
        createEmulatedUserPlugin({ [option]: value }),
      );
    }
    wrongTypes('killEmulatedUserNode', 'node', notNumbers, (value) =>
      killEmulatedUserNode(value, 'c'),
    );
    outOfRange('killEmulatedUserNode', 'node', outside(1, 2 ** 31 - 1), (value) =>
      killEmulatedUserNode(value, 'c'),
    );
    wrongTypes('killEmulatedUserNode', 'cluster', optional(notStrings), (value) =>
      killEmulatedUserNode(1, value),
    );
    breaksRule('killEmulatedUserNode: a node that is nowhere', 'ERR_DLM_CONNECT', () =>
      killEmulatedUserNode(1, 'nowhere'),
    );
    wrongTypes('createUserPlugin', 'options', optional(notObjects), (value) =>
      createUserPlugin(value),
    );
    wrongTypes('createUserPlugin', 'options.library', optional(notStrings), (value) =>
      createUserPlugin({ library: value }),
    );
    outOfRange('createUserPlugin', 'options.library', ['/lib/\udc00'], (value) =>
      createUserPlugin({ library: value }),
    );
    wrongTypes('createUserPlugin', 'options.create', optional(allBut('boolean')), (value) =>
      createUserPlugin({ create: value }),
    );
    wrongTypes('createUserPlugin', 'options.mode', optional(notNumbers), (value) =>
      createUserPlugin({ mode: value }),
    );
    outOfRange('createUserPlugin', 'options.mode', outside(0, 0o777), (value) =>
      createUserPlugin({ mode: value }),
    );
  });
});
