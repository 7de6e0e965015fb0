/**
 * Random requests on stack `o2cb`, most of them made by handlers and so while a batch of events is on
 * its way: each ends in one completion, no two hold what does not go together, and a value block is
 * what was written last.
 */
import { expect } from 'chai';
import { constants } from 'node:os';
import { setImmediate as nextTurn } from 'node:timers/promises';

import { COMPATIBLE } from '../../lib/conformance/locks.js';
import {
  createO2cbPlugin,
  DLM_LKF,
  DLM_LOCK,
  DlmLksb,
  StackGlue,
  type ClusterConnection,
  type LockMode,
} from '../../lib/glue.js';
import { Random } from '../support/random.js';
import { freshCluster } from './test-node.js';

const { EACCES, EAGAIN, EINVAL } = constants.errno;
const { CANCEL, CONVERT, NOQUEUE, VALBLK } = DLM_LKF;
const { NL, PR, EX } = DLM_LOCK;
const MODES = [NL, PR, EX] as const;

const NODES = 3;
const RESOURCES = 4;
const LOCKS_ON_EACH = 3;
const ROUNDS = 20_000;

/** Of BADPARAM, IVLOCKID and BADARGS, and of DENIED. */
const REFUSALS = [-EINVAL, -EACCES];

/** A resource as the contest knows it. */
interface Resource {
  readonly name: string;
  readonly contenders: Contender[];
  /** What was last written to its value block. */
  block: number;
}

/** What an unlock AST is given. */
interface Ending {
  readonly contender: Contender;
  readonly of: 'unlock' | 'cancel';
}

/** One lock that goes through random requests until the contest is over. */
class Contender {
  readonly #client: Client;
  readonly #random: Random;
  readonly #resource: Resource;
  readonly #lksb = new DlmLksb();
  /** What it may take itself to hold: from the lock AST until it asks for less. */
  held: LockMode | undefined;
  #wanted: LockMode = NL;
  #reads = false;
  #due: 'lock' | 'unlock' | undefined;
  #isCancelled = false;
  #hasMeddled = false;
  completions = 0;
  cancelled = 0;
  reads = 0;

  constructor(client: Client, random: Random, resource: Resource) {
    this.#client = client;
    this.#random = random;
    this.#resource = resource;
    resource.contenders.push(this);
  }

  get isDone(): boolean {
    return this.#due === undefined && this.held === undefined;
  }

  /** The next request, or a cancel of the one under way. */
  act(): void {
    const mayMeddle = this.#due !== undefined && !this.#isCancelled;
    if (mayMeddle && this.#random.chance(0.5)) this.#meddle();
    else if (this.#due === 'lock') this.cancel();
    else if (this.#due === undefined && this.held !== undefined && this.#random.chance(0.4)) {
      this.unlock();
    } else if (this.#due === undefined) this.#request();
  }

  /**
   * Asks for what cannot be before the completion is told, whether the lock is granted or not. (After
   * the cancel of a conversion it can: the lock is there, in its old mode.)
   */
  #meddle(): void {
    const { glue, connection } = this.#client;
    this.#hasMeddled = true;
    expect(this.#unlock(0, 'unlock'), 'an early unlock').to.be.oneOf(REFUSALS);
    const converted = glue.dlmLock(connection, NL, this.#lksb, CONVERT, this.#resource.name);
    expect(converted, 'an early conversion').to.be.oneOf(REFUSALS);
  }

  unlock(): void {
    if (this.#due !== undefined || this.held === undefined) return;
    const flags = this.#writes(this.#random.pick([0, VALBLK]));
    this.held = undefined;
    this.#due = 'unlock';
    expect(this.#unlock(flags, 'unlock')).to.equal(0);
  }

  cancel(): void {
    if (this.#due !== 'lock' || this.#isCancelled) return;
    this.#isCancelled = true;
    expect(this.#unlock(CANCEL, 'cancel')).to.equal(0);
  }

  #unlock(flags: number, of: Ending['of']): number {
    const { glue, connection } = this.#client;
    return glue.dlmUnlock(connection, this.#lksb, flags, { contender: this, of } satisfies Ending);
  }

  #request(): void {
    const { glue, connection } = this.#client;
    const before = this.held;
    const isNew = before === undefined;
    this.#wanted = this.#random.pick(MODES);
    const asked = this.#random.pick([0, NOQUEUE, VALBLK, VALBLK | NOQUEUE]);
    const flags = this.#writes(asked) | (isNew ? 0 : CONVERT);
    this.#reads = (flags & VALBLK) !== 0 && before !== EX && this.#wanted !== NL;
    if (before !== undefined && this.#wanted < before) this.held = this.#wanted;
    const { name } = this.#resource;
    const result = glue.dlmLock(connection, this.#wanted, this.#lksb, flags, name, this);
    if (result === 0) {
      this.#due = 'lock';
    } else {
      expect(result, 'a refusal').to.equal(-EAGAIN);
      expect(flags & NOQUEUE, 'NOQUEUE, of what is refused').to.equal(NOQUEUE);
    }
  }

  /** EX writes what it has in its block, if it says so. */
  #writes(flags: number): number {
    if (this.held !== EX || (flags & VALBLK) === 0) return flags;
    this.#resource.block = this.#random.below(2 ** 32);
    this.#view().setUint32(60, this.#resource.block);
    return flags;
  }

  #view(): DataView {
    const block = this.#client.glue.dlmLvb(this.#lksb);
    return new DataView(block.buffer, block.byteOffset, block.byteLength);
  }

  onLockAst(): void {
    // What is refused leaves its status in the lock status block.
    if (!this.#hasMeddled) expect(this.#client.glue.dlmLockStatus(this.#lksb)).to.equal(0);
    this.#complete('lock');
    this.held = this.#wanted;
    for (const other of this.#resource.contenders) {
      if (other === this || other.held === undefined) continue;
      expect(COMPATIBLE[this.held], 'modes that go with this one').to.include(other.held);
    }
    if (!this.#reads) return;
    this.reads += 1;
    expect(this.#view().getUint32(60), 'the value block').to.equal(this.#resource.block);
  }

  onUnlockAst({ of }: Ending, error: number): void {
    expect(error).to.equal(0);
    if (of === 'cancel') {
      expect(this.#isCancelled, 'a cancel that nobody asked for').to.equal(true);
      this.cancelled += 1;
    }
    this.#complete(of === 'cancel' ? 'lock' : 'unlock');
  }

  onBlockingAst(level: LockMode): void {
    expect(level).to.be.oneOf([PR, EX]);
  }

  #complete(what: 'lock' | 'unlock'): void {
    expect(what, 'a completion that nothing asked for').to.equal(this.#due);
    this.#due = undefined;
    this.#isCancelled = this.#hasMeddled = false;
    this.completions += 1;
  }
}

/** A node's connection; each handler's work is given to `handle`. */
class Client {
  readonly glue = new StackGlue();
  connection!: ClusterConnection;

  async connect(cluster: string, node: number, handle: (work: () => void) => void): Promise<void> {
    this.glue.register(createO2cbPlugin({ cluster, node }));
    this.glue.setLockingProtocol({
      maxVersion: { major: 1, minor: 0 },
      lockAst: (contender) => {
        handle(() => (contender as Contender).onLockAst());
      },
      blockingAst: (contender, level) => {
        handle(() => (contender as Contender).onBlockingAst(level));
      },
      unlockAst: (ending, error) => {
        handle(() => (ending as Ending).contender.onUnlockAst(ending as Ending, error));
      },
    });
    const group = 'contest';
    const recoveryHandler = (): void => undefined;
    this.connection = await this.glue.clusterConnect({ stackName: 'o2cb', group, recoveryHandler });
  }
}

describe('random requests on o2cb', () => {
  const clients: Client[] = [];
  let isOver = false;
  let failure: { readonly cause: unknown } | undefined;

  afterEach(async () => {
    failure ??= { cause: new Error('the test has ended') };
    for (const { glue, connection } of clients.splice(0)) await glue.clusterDisconnect(connection);
  });

  it('end in one completion each, and keep what the modes and blocks promise', async () => {
    const random = new Random();
    console.log(`      seed ${random.seed}`);
    let events = 0;
    const contenders: Contender[] = [];
    const handle = (work: () => void): void => {
      try {
        work();
        events += 1;
        // On average one, so that chains of requests begin and end; sometimes several in one handler.
        while (!isOver && random.chance(0.5)) random.pick(contenders).act();
      } catch (cause) {
        failure ??= { cause };
        isOver = true;
      }
    };
    const turn = async (): Promise<void> => {
      await nextTurn();
      if (failure !== undefined) throw failure.cause;
    };
    const cluster = freshCluster();
    for (let node = 0; node < NODES; node += 1) {
      const client = new Client();
      await client.connect(cluster, node, handle);
      clients.push(client);
    }
    const resources = Array.from({ length: RESOURCES }, (_, i): Resource => {
      return { name: `r${i}`, contenders: [], block: 0 };
    });
    for (const resource of resources) {
      for (const client of clients) {
        for (let i = 0; i < LOCKS_ON_EACH; i += 1) {
          contenders.push(new Contender(client, random, resource));
        }
      }
    }
    // Keeps the resources, and with them their value blocks.
    const keeper = new Client();
    let kept = 0;
    await keeper.connect(cluster, NODES, (work) => work());
    clients.push(keeper);
    for (const { name } of resources) {
      const astarg = { onLockAst: () => (kept += 1) };
      keeper.glue.dlmLock(keeper.connection, NL, new DlmLksb(), 0, name, astarg);
    }
    while (kept < RESOURCES) await turn();

    for (let round = 0; round < ROUNDS; round += 1) {
      random.pick(contenders).act();
      if (random.chance(0.2)) await turn();
    }
    isOver = true;
    while (!contenders.every(({ isDone }) => isDone)) {
      const before = events;
      for (const contender of contenders) contender.cancel();
      for (const contender of contenders) contender.unlock();
      while (events === before) await turn();
    }
    const sum = (count: (contender: Contender) => number): number =>
      contenders.reduce((total, contender) => total + count(contender), 0);
    // What these are follows from the seed alone: all is in one thread, and no clock has a part in it.
    expect(sum(({ completions }) => completions)).to.be.above(ROUNDS / 2);
    expect(sum(({ cancelled }) => cancelled)).to.be.above(ROUNDS / 100);
    expect(sum(({ reads }) => reads)).to.be.above(ROUNDS / 100);
  });
});
