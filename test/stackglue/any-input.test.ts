/**
 * Anything for every argument of every public function: it must be a legal call, or fail with an error
 * that says why, and whatever it was the process lives on and locks work. STACKGLUE_SEED repeats a run.
 */
import { expect } from 'chai';
import fc from 'fast-check';

import {
  createEmulatedUserPlugin,
  createO2cbPlugin,
  createUserPlugin,
  DLM_LKF,
  DlmError,
  DlmLksb,
  dlmDeadlockCancel,
  dlmPurge,
  killEmulatedUserNode,
  killO2cbNode,
  StackGlue,
  stackConnectionOf,
  type ClusterConnection,
  type StackPlugin,
} from '../../lib/glue.js';
import {
  disconnectTestNodes,
  fakePlugin,
  freshCluster,
  silentProtocol,
  TestNode,
} from './test-node.js';

/** Runs of each function. */
const RUNS = 60;
const seed = Number(process.env.STACKGLUE_SEED ?? Math.trunc(Math.random() * 2 ** 31));

/** What there is to call, anew for each run. */
interface Scene {
  readonly node: TestNode;
  readonly glue: StackGlue;
  readonly plugin: StackPlugin;
  readonly connection: ClusterConnection;
  /** A connection of another glue. */
  readonly foreign: ClusterConnection;
  /** A status block with a lock, one that never had one, and one of another connection. */
  readonly held: DlmLksb;
  readonly unused: DlmLksb;
  readonly theirs: DlmLksb;
}

/** An argument: a value, or a thing of the scene; it prints as what it is in a counterexample. */
interface Argument {
  (scene: Scene): unknown;
  [fc.toStringMethod](): string;
}

function argument(text: () => string, value: (scene: Scene) => unknown): Argument {
  return Object.assign(value, { [fc.toStringMethod]: text });
}
function valueOf(value: unknown): Argument {
  return argument(
    () => fc.stringify(value),
    () => value,
  );
}
function thing(name: keyof Scene): Argument {
  return argument(
    () => `the scene's ${name}`,
    (scene) => scene[name],
  );
}

const anything: fc.Arbitrary<Argument> = fc
  .anything({
    withBigInt: true,
    withDate: true,
    withMap: true,
    withNullPrototype: true,
    withSet: true,
    withSparseArray: true,
    withTypedArray: true,
  })
  .map(valueOf);
const things = fc.constantFrom(
  ...(['connection', 'foreign', 'held', 'unused', 'theirs', 'glue', 'plugin'] as const).map(thing),
  valueOf(Symbol('any')),
  valueOf(() => undefined),
  valueOf(new Proxy({}, {})),
);

/** Anything, but often enough what can go through. */
function often(...values: fc.Arbitrary<unknown>[]): fc.Arbitrary<Argument> {
  const good = fc.oneof(...values).map(valueOf);
  return fc.oneof({ weight: 3, arbitrary: good }, { weight: 2, arbitrary: anything }, things);
}
function oftenThe(...good: Argument[]): fc.Arbitrary<Argument> {
  return fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...good) }, anything, things);
}

const flagBits = Object.values(DLM_LKF);
const connections = oftenThe(thing('connection'));
const lksbs = oftenThe(thing('held'), thing('unused'));
const modes = often(fc.integer({ min: -1, max: 6 }), fc.double());
const flags = often(
  fc.subarray(flagBits).map((bits) => bits.reduce((all, bit) => (all | bit) >>> 0, 0)),
  fc.integer(),
);
const names = often(
  fc.string({ maxLength: 40 }),
  fc.string({ unit: 'binary', maxLength: 70 }),
  fc.uint8Array({ maxLength: 70 }),
);
const text = often(
  fc.string({ maxLength: 70 }),
  fc.constantFrom('o2cb', 'user', 'pcmk', '', 'a\0b'),
);
const numbers = often(fc.integer({ min: -1, max: 300 }), fc.double());
const flag = often(fc.boolean());
const handler = often(fc.constant(() => undefined));

/** An object of such parts, some missing, or no object at all. */
function objectOf(parts: Record<string, fc.Arbitrary<Argument>>): fc.Arbitrary<Argument> {
  const whole = fc.record(parts, { requiredKeys: [] }).map((given) => {
    const entries = Object.entries(given as Record<string, Argument>);
    return argument(
      () => `{ ${entries.map(([key, value]) => `${key}: ${fc.stringify(value)}`).join(', ')} }`,
      (scene) => Object.fromEntries(entries.map(([key, value]) => [key, value(scene)])),
    );
  });
  return fc.oneof({ weight: 4, arbitrary: whole }, anything, things);
}

const versions = objectOf({ major: numbers, minor: numbers });
const protocols = fc.oneof(
  objectOf({ maxVersion: versions, lockAst: handler, blockingAst: handler, unlockAst: handler }),
  fc.constant(valueOf(silentProtocol())),
);
const operations = objectOf(
  Object.fromEntries(Object.keys(fakePlugin('x').operations).map((name) => [name, handler])),
);
const plugins = fc.oneof(
  objectOf({ name: text, scope: often(fc.constantFrom('process', 'cluster')), operations }),
  oftenThe(valueOf(fakePlugin('x')), thing('plugin')),
);

type Call = (scene: Scene, ...args: never[]) => unknown;

/** Every public function, and what its arguments are often. */
const FUNCTIONS: Record<string, { args: fc.Arbitrary<Argument>[]; call: Call }> = {
  register: { args: [plugins], call: ({ glue }, plugin) => glue.register(plugin) },
  unregister: { args: [plugins], call: ({ glue }, plugin) => glue.unregister(plugin) },
  setPluginLoader: { args: [handler], call: ({ glue }, loader) => glue.setPluginLoader(loader) },
  setMaxProtoVersion: {
    args: [versions],
    call: ({ glue }, version) => glue.setMaxProtoVersion(version),
  },
  setLockingProtocol: {
    args: [protocols],
    call: ({ glue }, protocol) => glue.setLockingProtocol(protocol),
  },
  clusterStack: { args: [text], call: ({ glue }, label) => (glue.clusterStack = label) },
  clusterConnect: {
    args: [
      objectOf({
        stackName: often(fc.constantFrom('o2cb', '')),
        clusterName: text,
        group: text,
        protocol: fc.oneof(protocols, fc.constant(valueOf(undefined))),
        recoveryHandler: handler,
        recoveryData: anything,
      }),
    ],
    call: ({ glue }, options) => glue.clusterConnect(options),
  },
  clusterDisconnect: {
    args: [connections, flag],
    call: ({ glue }, connection, pending) => glue.clusterDisconnect(connection, pending),
  },
  clusterHangup: { args: [text], call: ({ glue }, group) => glue.clusterHangup(group) },
  clusterThisNode: {
    args: [connections],
    call: ({ glue }, connection) => glue.clusterThisNode(connection),
  },
  dlmLock: {
    args: [connections, modes, lksbs, flags, names, anything],
    call: ({ glue }, ...args) =>
      glue.dlmLock(...(args as unknown as Parameters<StackGlue['dlmLock']>)),
  },
  dlmUnlock: {
    args: [connections, lksbs, flags, anything],
    call: ({ glue }, ...args) =>
      glue.dlmUnlock(...(args as unknown as Parameters<StackGlue['dlmUnlock']>)),
  },
  dlmLockStatus: { args: [lksbs], call: ({ glue }, lksb) => glue.dlmLockStatus(lksb) },
  dlmLockFlags: { args: [lksbs], call: ({ glue }, lksb) => glue.dlmLockFlags(lksb) },
  dlmLvbValid: { args: [lksbs], call: ({ glue }, lksb) => glue.dlmLvbValid(lksb) },
  dlmLvb: { args: [lksbs], call: ({ glue }, lksb) => glue.dlmLvb(lksb) },
  dlmDumpLksb: { args: [lksbs], call: ({ glue }, lksb) => glue.dlmDumpLksb(lksb) },
  clusterConnectAgnostic: {
    args: [
      objectOf({
        group: text,
        protocol: protocols,
        recoveryHandler: handler,
        recoveryData: anything,
      }),
    ],
    call: ({ glue }, options) => glue.clusterConnectAgnostic(options),
  },
  plock: {
    args: [
      connections,
      often(fc.bigInt()),
      objectOf({
        type: often(fc.constantFrom('shared', 'exclusive', 'unlock')),
        start: often(fc.bigInt()),
        end: often(fc.bigInt()),
        wait: flag,
      }),
    ],
    call: ({ glue }, ...args) => glue.plock(...(args as unknown as Parameters<StackGlue['plock']>)),
  },
  lockAst: {
    args: [lksbs],
    call: ({ connection }, lksb) => stackConnectionOf(connection)?.lockAst(lksb),
  },
  blockingAst: {
    args: [lksbs, modes],
    call: ({ connection }, lksb, level) => stackConnectionOf(connection)?.blockingAst(lksb, level),
  },
  createO2cbPlugin: {
    args: [objectOf({ node: numbers, cluster: text })],
    call: (_scene, options) => createO2cbPlugin(options),
  },
  createUserPlugin: {
    args: [objectOf({ library: text, create: flag, mode: numbers })],
    call: (_scene, options) => createUserPlugin(options),
  },
  createEmulatedUserPlugin: {
    args: [objectOf({ node: numbers, cluster: text, create: flag, exclusive: flag })],
    call: (_scene, options) => createEmulatedUserPlugin(options),
  },
  killEmulatedUserNode: {
    args: [numbers, text],
    call: (_scene, number, cluster) => killEmulatedUserNode(number, cluster),
  },
  dlmPurge: {
    args: [connections, numbers, numbers],
    call: (_scene, connection, nodeId, pid) => dlmPurge(connection, nodeId, pid),
  },
  dlmDeadlockCancel: {
    args: [connections, lksbs],
    call: (_scene, connection, lksb) => dlmDeadlockCancel(connection, lksb),
  },
  killO2cbNode: {
    args: [numbers, text],
    call: (_scene, number, cluster) => killO2cbNode(number, cluster),
  },
};

/** Whether the error says what was wrong, for programs and for people. */
function isTyped(error: unknown): boolean {
  if (error instanceof DlmError) return error.code.startsWith('ERR_DLM_') && error.message !== '';
  const { code, argument } = error as { code?: unknown; argument?: unknown };
  return (
    ((error instanceof TypeError &&
      (code === 'ERR_INVALID_ARG_TYPE' || code === 'ERR_INVALID_ARG_VALUE')) ||
      (error instanceof RangeError && code === 'ERR_OUT_OF_RANGE')) &&
    typeof argument === 'string' &&
    error.message.includes(`"${argument}"`)
  );
}

/** Whose operations the emulated stack `user` has of its own. */
const USER_FUNCTIONS = new Set([
  'dlmLock',
  'dlmUnlock',
  'dlmLvb',
  'dlmLockMode',
  'dlmDumpLksb',
  'dlmPurge',
  'dlmDeadlockCancel',
]);

for (const stackName of ['o2cb', 'pcmk'] as const) {
  describe(`any input on ${stackName}`, function () {
    afterEach(disconnectTestNodes);

    async function createScene(): Promise<Scene> {
      const node = new TestNode(0, freshCluster(), stackName);
      const other = new TestNode(0, freshCluster(), stackName);
      const connection = await node.connect();
      const foreign = await other.connect();
      return {
        node,
        glue: node.glue,
        plugin: node.plugin,
        connection,
        foreign,
        held: await node.lock(connection, 'held'),
        unused: new DlmLksb(),
        theirs: await other.lock(foreign, 'held'),
      };
    }

    /** The scene as the caller sees it. */
    function lookAt({ glue, connection, foreign, held }: Scene): unknown {
      const { clusterStack, loadedClusterPlugins, activeClusterPlugin, maxLockingProtocol } = glue;
      return {
        glue: { clusterStack, loadedClusterPlugins, activeClusterPlugin, maxLockingProtocol },
        states: [connection.state, foreign.state],
        status: glue.dlmLockStatus(held),
        block: [...glue.dlmLvb(held)],
      };
    }

    /** A lock is taken and given up, on a connection of its own. */
    async function roundTrip(): Promise<void> {
      const node = new TestNode(0, freshCluster(), stackName);
      const connection = await node.connect();
      await node.unlock(connection, await node.lock(connection, 'probe'));
      await node.glue.clusterDisconnect(connection);
    }

    for (const [name, { args, call }] of Object.entries(FUNCTIONS)) {
      if (stackName === 'pcmk' && !USER_FUNCTIONS.has(name)) continue;
      it(`${name} takes it or says why not`, () =>
        fc.assert(
          fc.asyncProperty(fc.tuple(...args), async (given) => {
            const scene = await createScene();
            const before = lookAt(scene);
            try {
              const result = await call(scene, ...(given.map((value) => value(scene)) as never[]));
              if (name === 'dlmLock' || name === 'dlmUnlock' || name === 'plock') {
                expect(result).to.satisfy((value: unknown) => Number.isInteger(value));
                expect(result).to.be.at.most(0);
              }
              if (name.startsWith('clusterConnect')) {
                await scene.glue.clusterDisconnect(result as ClusterConnection);
              }
            } catch (error) {
              expect(error).to.satisfy(isTyped, (error as Error).stack);
              expect(lookAt(scene)).to.deep.equal(before);
              await scene.node.unlock(
                scene.connection,
                await scene.node.lock(scene.connection, 'probe'),
              );
            }
            await disconnectTestNodes();
            await roundTrip();
          }),
          { seed, numRuns: RUNS },
        ));
    }
  });
}
