/**
 * Many requests and cancels at once, from connections that contend with each other on one node: every
 * request must end in exactly one completion, and nobody may end another's.
 */
import { expect } from 'chai';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { fileURLToPath } from 'node:url';

import {
  DLM_ERRNO,
  DLM_LKF,
  DLM_LOCK,
  DlmLksb,
  StackGlue,
  type ClusterConnection,
  type LockMode,
} from '../../lib/glue.js';
import { Random } from '../support/random.js';
import { createTestPlugin } from '../support/user-plugin.js';

const { CONVERT, CANCEL, NOQUEUE, VALBLK } = DLM_LKF;
const MODES = Object.values(DLM_LOCK);
const GROUP = 'stress';

/** One lock that goes through random requests until the contest is over. */
class Contender {
  readonly #client: Client;
  readonly #random: Random;
  readonly #resource: string;
  readonly #lksb = new DlmLksb();
  /** The mode that is granted; undefined without a lock. */
  #mode: LockMode | undefined;
  #wanted: LockMode = DLM_LOCK.NL;
  /** What is under way: exactly one completion is due. */
  #due: 'lock' | 'unlock' | undefined;
  completions = 0;
  cancels = 0;
  cancelled = 0;

  constructor(client: Client, random: Random, resource: string) {
    this.#client = client;
    this.#random = random;
    this.#resource = resource;
  }

  get isIdle(): boolean {
    return this.#due === undefined;
  }

  /** The next request, or a cancel of the one under way. */
  act(): void {
    const { glue, connection } = this.#client;
    if (this.#due === 'lock') {
      if (this.#random.below(2) === 0) return;
      this.cancels += 1;
      expect(glue.dlmUnlock(connection, this.#lksb, CANCEL)).to.equal(0);
    } else if (this.#due === undefined) {
      if (this.#mode !== undefined && this.#random.below(2) === 0) this.unlock();
      else this.#request();
    }
  }

  unlock(): void {
    if (this.#mode === undefined || this.#due !== undefined) return;
    this.#due = 'unlock';
    const flags = this.#random.pick([0, VALBLK]);
    const { glue, connection } = this.#client;
    expect(glue.dlmUnlock(connection, this.#lksb, flags)).to.equal(0);
  }

  /** Takes back what is under way, at the end of the contest. */
  cancel(): void {
    if (this.#due === 'lock')
      this.#client.glue.dlmUnlock(this.#client.connection, this.#lksb, CANCEL);
  }

  #request(): void {
    this.#due = 'lock';
    this.#wanted = this.#random.pick(MODES);
    const flags =
      this.#random.pick([0, NOQUEUE, VALBLK]) | (this.#mode === undefined ? 0 : CONVERT);
    const { glue, connection } = this.#client;
    expect(
      glue.dlmLock(connection, this.#wanted, this.#lksb, flags, this.#resource, this),
    ).to.equal(0);
  }

  onLockAst(): void {
    this.#complete('lock');
    const status = this.#client.glue.dlmLockStatus(this.#lksb);
    if (status === 0) this.#mode = this.#wanted;
    else expect(status, 'status of a request that was not granted').to.equal(-11);
  }

  onUnlockAst(error: number): void {
    expect(error).to.equal(0);
    const status = this.#client.glue.dlmLockStatus(this.#lksb);
    if (status === -DLM_ERRNO.ECANCEL) {
      this.#complete('lock');
      this.cancelled += 1;
    } else {
      this.#complete('unlock');
      expect(status).to.equal(-DLM_ERRNO.EUNLOCK);
      this.#mode = undefined;
    }
  }

  #complete(what: 'lock' | 'unlock'): void {
    expect(what, 'a completion that nothing asked for').to.equal(this.#due);
    this.#due = undefined;
    this.completions += 1;
  }
}

/** One connection and the contenders on it. */
class Client {
  readonly glue = new StackGlue();
  connection!: ClusterConnection;
  readonly #onChange: () => void;

  constructor(onChange: () => void) {
    this.#onChange = onChange;
  }

  async connect(): Promise<void> {
    this.glue.register(createTestPlugin());
    this.glue.clusterStack = 'pcmk';
    this.glue.setLockingProtocol({
      maxVersion: { major: 1, minor: 0 },
      lockAst: (contender) => {
        (contender as Contender).onLockAst();
        this.#onChange();
      },
      blockingAst: () => undefined,
      unlockAst: (contender, error) => {
        (contender as Contender).onUnlockAst(error);
        this.#onChange();
      },
    });
    this.connection = await this.glue.clusterConnect({
      stackName: 'pcmk',
      group: GROUP,
      recoveryHandler: () => undefined,
    });
  }
}

describe('many requests and cancels at once', () => {
  it('end in one completion each', async () => {
    const random = new Random();
    console.log(`      seed ${random.seed}`);
    let changes = 0;
    const clients = Array.from({ length: 3 }, () => new Client(() => (changes += 1)));
    for (const client of clients) await client.connect();
    const contenders = clients.flatMap((client) =>
      Array.from({ length: 12 }, (_, i) => new Contender(client, random, `r${i % 4}`)),
    );

    const sum = (count: (contender: Contender) => number): number =>
      contenders.reduce((total, contender) => total + count(contender), 0);
    /** How many requests a number of rounds makes is up to the kernel, which has to answer in between. */
    const isEnough = (): boolean =>
      sum(({ completions }) => completions) >= 500 &&
      sum(({ cancels }) => cancels) >= 100 &&
      sum(({ cancelled }) => cancelled) > 0;
    for (let round = 0; round < 3000 || !isEnough(); round += 1) {
      random.pick(contenders).act();
      if (random.below(4) === 0) await nextTurn();
    }
    // Everybody takes back or gives up what they have until nothing is under way.
    while (!contenders.every((contender) => contender.isIdle)) {
      const before = changes;
      for (const contender of contenders) contender.cancel();
      for (const contender of contenders) contender.unlock();
      while (changes === before) await nextTurn();
    }
    for (const client of clients) await client.glue.clusterDisconnect(client.connection);
  });
});

describe('worker threads with connections of their own', () => {
  it('can be ended in the middle of anything', async () => {
    const program = fileURLToPath(new URL('contending-worker.js', import.meta.url));
    for (const step of ['connecting', 'connected', 'in flight', 'held', 'unlocking', 'closing']) {
      for (let i = 0; i < 2; i += 1) {
        const worker = new Worker(program, { workerData: { group: GROUP, step } });
        await new Promise<void>((resolve, reject) => {
          worker.once('message', () => resolve());
          worker.once('error', reject);
        });
        await worker.terminate();
      }
    }
    // What the workers held is free.
    let granted!: () => void;
    const completed = new Promise<void>((resolve) => (granted = resolve));
    const glue = new StackGlue();
    glue.register(createTestPlugin());
    glue.clusterStack = 'pcmk';
    glue.setLockingProtocol({
      maxVersion: { major: 1, minor: 0 },
      lockAst: () => granted(),
      blockingAst: () => undefined,
      unlockAst: () => undefined,
    });
    const connection = await glue.clusterConnect({
      stackName: 'pcmk',
      group: GROUP,
      recoveryHandler: () => undefined,
    });
    const lksb = new DlmLksb();
    expect(glue.dlmLock(connection, DLM_LOCK.EX, lksb, 0, 'worker')).to.equal(0);
    await completed;
    expect(glue.dlmLockStatus(lksb)).to.equal(0);
    await glue.clusterDisconnect(connection);
  });
});
