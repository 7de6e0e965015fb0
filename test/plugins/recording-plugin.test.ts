/** A plugin of a third party: it passes the conformance suite, and a broken one does not. */
import { expect } from 'chai';

import { stackConformance, type Runner } from '../../lib/conformance/index.js';
import {
  createO2cbPlugin,
  DLM_LKF,
  DLM_LOCK,
  DlmLksb,
  StackGlue,
  type StackConnection,
  type StackOperations,
  type StackPlugin,
} from '../../lib/glue.js';
import type { StackUpcalls } from '../../lib/stackglue/connection.js';
import { IdleWatch } from '../support/idle-watch.js';
import { createEmulation } from '../support/world.js';
import { createRecordingPlugin, type Entry } from './recording-plugin.js';

/** What a test came to. */
interface Outcome {
  readonly title: string;
  readonly error: Error | undefined;
}

/** A test runner that runs what it was given when it is told to, and collects what came of it. */
class CollectingRunner {
  readonly outcomes: Outcome[] = [];
  /** The steps, and the last steps, of the `describe` that is being defined. */
  #steps: (() => Promise<void>)[] = [];
  #lastSteps: (() => Promise<void>)[] = [];

  readonly runner: Runner = {
    describe: (_title, define) => {
      const [steps, lastSteps] = [this.#steps, this.#lastSteps];
      [this.#steps, this.#lastSteps] = [[], []];
      define();
      this.#steps = [...steps, ...this.#steps, ...this.#lastSteps];
      this.#lastSteps = lastSteps;
    },
    it: (title, run) => this.#steps.push(() => this.#run(title, run)),
    before: (run) => this.#steps.push(() => this.#run('before', run)),
    after: (run) => this.#lastSteps.push(() => this.#run('after', run)),
  };

  async run(): Promise<void> {
    for (const step of this.#steps) await step();
  }

  get failures(): string[] {
    return this.outcomes.filter(({ error }) => error !== undefined).map(({ title }) => title);
  }

  async #run(title: string, run: () => Promise<void>): Promise<void> {
    try {
      await run();
      this.outcomes.push({ title, error: undefined });
    } catch (error) {
      this.outcomes.push({ title, error: error as Error });
    }
  }
}

/** Runs the suite on the emulation under such a layer. What does not come is not waited for. */
async function runSuite(wrap: (plugin: StackPlugin) => StackPlugin): Promise<CollectingRunner> {
  const collecting = new CollectingRunner();
  const idle = new IdleWatch();
  stackConformance({
    title: 'a stack',
    stackName: 'o2cb',
    createNodes: () => {
      const world = createEmulation(wrap, { watch: idle.watch });
      idle.nodes = world.nodes;
      return Promise.resolve(world);
    },
    plugin: createO2cbPlugin(),
    canKill: true,
    runner: collecting.runner,
  });
  await collecting.run();
  return collecting;
}

type Sabotage = (below: StackOperations) => {
  upcalls?: (connection: StackConnection) => Partial<StackUpcalls>;
  operations?: Partial<StackOperations>;
};

/** The emulation with something broken. */
function broken(
  { name, scope, features, operations }: StackPlugin,
  sabotage: Sabotage,
): StackPlugin {
  const fault = sabotage(operations);
  return {
    name,
    scope,
    features,
    operations: {
      ...operations,
      ...fault.operations,
      connect: async (connection) => {
        const below = connection.layered(fault.upcalls?.(connection) ?? {});
        await operations.connect(below);
        // The operations that are not broken go there directly, with this connection.
        connection.private = below.private;
      },
    },
  };
}

/** Ways to break a contract, and a test that must notice. */
const FAULTS: Record<string, { sabotage: Sabotage; noticedBy: string[] }> = {
  'swallows blocking ASTs': {
    sabotage: () => ({ upcalls: () => ({ blockingAst: () => undefined }) }),
    noticedBy: [
      'EX waits behind EX, its holder is told the level, and it is granted after the unlock',
      'a conversion up waits for the others, who are told',
    ],
  },
  'tells another level': {
    sabotage: () => ({
      upcalls: (connection) => ({
        blockingAst: (lksb) => connection.blockingAst(lksb, DLM_LOCK.EX),
      }),
    }),
    noticedBy: ['a blocking AST tells the level of the request, here PR'],
  },
  'completes from inside the call': {
    sabotage: (below) => {
      const early = new WeakSet();
      return {
        operations: {
          dlmLock: (connection, mode, lksb, flags, name) => {
            const result = below.dlmLock(connection, mode, lksb, flags, name);
            if (result === 0 && mode === DLM_LOCK.NL) {
              early.add(lksb);
              connection.lockAst(lksb);
            }
            return result;
          },
        },
        upcalls: (connection) => ({
          lockAst: (lksb) => {
            if (!early.delete(lksb)) connection.lockAst(lksb);
          },
        }),
      };
    },
    noticedBy: ['no handler is called before the call that caused it has returned'],
  },
  'completes twice': {
    sabotage: () => ({
      upcalls: (connection) => ({
        lockAst: (lksb) => {
          connection.lockAst(lksb);
          connection.lockAst(lksb);
        },
      }),
    }),
    noticedBy: ['in a contention with cancels every request ends exactly once'],
  },
  'forgets cancels': {
    sabotage: (below) => ({
      operations: {
        dlmUnlock: (connection, lksb, flags, astarg) =>
          (flags & DLM_LKF.CANCEL) === 0 ? below.dlmUnlock(connection, lksb, flags, astarg) : 0,
      },
    }),
    noticedBy: [
      'a cancelled waiter ends in the unlock AST and leaves no lock',
      'a cancelled conversion is back in its old mode',
    ],
  },
  'hands out copies of value blocks': {
    sabotage: (below) => ({
      operations: { lockLvb: (lksb) => Uint8Array.from(below.lockLvb(lksb)) },
    }),
    noticedBy: ['an unlock with VALBLK hands its block on'],
  },
  'reports a death instead of an unlock': {
    sabotage: () => ({ upcalls: (connection) => ({ unlockAst: () => connection.nodeDown(99) }) }),
    noticedBy: [
      'EX waits behind EX, its holder is told the level, and it is granted after the unlock',
    ],
  },
  'says nothing of deaths': {
    sabotage: () => ({ upcalls: () => ({ nodeDown: () => undefined }) }),
    noticedBy: ['each survivor is told of the death once on each connection'],
  },
  'ignores NOQUEUE': {
    sabotage: (below) => ({
      operations: {
        dlmLock: (connection, mode, lksb, flags, name) =>
          below.dlmLock(connection, mode, lksb, flags & ~DLM_LKF.NOQUEUE, name),
      },
    }),
    noticedBy: ['a NOQUEUE request for a busy resource fails with EAGAIN, in the call'],
  },
};

describe('a plugin of a third party', () => {
  stackConformance({
    title: 'the recording plugin over o2cb',
    stackName: 'o2cb',
    createNodes: () =>
      Promise.resolve(createEmulation((plugin) => createRecordingPlugin(plugin, () => undefined))),
    plugin: createO2cbPlugin(),
    canKill: true,
  });

  it('records calls, results and what the stack tells, in order', async () => {
    const entries: Entry[] = [];
    const glue = new StackGlue();
    const node = createO2cbPlugin({ node: 3, cluster: 'recording' });
    glue.register(createRecordingPlugin(node, (entry) => entries.push(entry)));
    const told: unknown[] = [];
    let tellNext!: () => void;
    const next = () => new Promise<void>((resolve) => (tellNext = resolve));
    const tell = (astarg: unknown) => {
      told.push(astarg);
      tellNext();
    };
    glue.setLockingProtocol({
      maxVersion: { major: 1, minor: 0 },
      lockAst: tell,
      blockingAst: tell,
      unlockAst: tell,
    });
    const connection = await glue.clusterConnect({
      stackName: 'o2cb',
      group: 'recorded',
      recoveryHandler: () => undefined,
    });
    expect(glue.clusterThisNode(connection)).to.equal(3);
    const lksb = new DlmLksb();
    const granted = next();
    expect(glue.dlmLock(connection, DLM_LOCK.EX, lksb, 0, 'l', 'mine')).to.equal(0);
    await granted;
    const unlocked = next();
    expect(glue.dlmUnlock(connection, lksb, 0, 'the unlock')).to.equal(0);
    await unlocked;
    connection.unref();
    await glue.clusterDisconnect(connection);

    expect(told).to.deep.equal(['mine', 'the unlock']);
    const lines = entries.map(({ kind, name, group, lock, values }) =>
      [kind, name, group, lock, ...values]
        .filter((part) => part !== undefined)
        .map(String)
        .join(' '),
    );
    expect(lines).to.deep.equal([
      'call connect recorded',
      'return connect recorded',
      'call thisNode recorded',
      'return thisNode recorded 3',
      'call dlmLock recorded 1 5 0 l',
      'return dlmLock recorded 1 0',
      'upcall lockAst recorded 1 0',
      'call dlmUnlock recorded 1 0',
      'return dlmUnlock recorded 1 0',
      'upcall unlockAst recorded 1 0',
      'call setRef recorded false',
      'return setRef recorded',
      'call disconnect recorded',
      'return disconnect recorded',
    ]);
  });

  it('has the optional operations of the stack below and no others', () => {
    const { features, operations } = createO2cbPlugin();
    const rest: StackOperations = { ...operations };
    for (const name of ['dumpLksb', 'setRef'] as const) {
      expect(rest).to.have.property(name).that.is.a('function');
      Reflect.deleteProperty(rest, name);
    }
    const below = { name: 'o2cb', scope: 'process', features, operations: rest } as const;
    const bare = createRecordingPlugin(below, () => undefined);
    expect(Object.keys(bare.operations)).to.have.members(Object.keys(rest));
  });
});

describe('the conformance suite', () => {
  it('is exported by its name', async () => {
    const name = 'stackglue/conformance';
    const imported = (await import(name)) as { stackConformance: unknown };
    expect(imported.stackConformance).to.equal(stackConformance);
  });

  it('passes with the functions of any test runner', async () => {
    const { failures, outcomes } = await runSuite((plugin) => plugin);
    expect(failures).to.deep.equal([]);
    expect(outcomes.length).to.be.above(50);
  });

  for (const [what, { sabotage, noticedBy }] of Object.entries(FAULTS)) {
    it(`notices a stack that ${what}`, async () => {
      const collected = await runSuite((plugin) => broken(plugin, sabotage));
      expect(collected.failures).to.include.members(noticedBy);
      const { error } = collected.outcomes.find(({ title }) => title === noticedBy[0])!;
      expect(error?.message, 'what the nodes did and saw').to.match(/node 1:\n {2}> \{"do":/);
    });
  }
});
