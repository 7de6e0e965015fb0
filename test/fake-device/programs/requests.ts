/**
 * Random requests on stack `user` while chance decides what the machine makes of them, in several lives of a
 * connection, each of which ends otherwise: `submit seed lives`. Prints what has happened; throws when a
 * completion is missing, or is one too many.
 *
 * What is told when the locks are lost is the last, and every request has ended before. The order of a node's
 * death and the grants that come of it is looked at elsewhere (test/order).
 */
import { kill } from 'node:process';
import { setImmediate as nextTurn } from 'node:timers/promises';

import {
  createUserPlugin,
  DlmError,
  dlmPurge,
  StackGlue,
  type ClusterConnection,
  type UserStackOptions,
} from '../../../lib/glue.js';
import { Random } from '../../support/random.js';
import { MachineControl } from '../machine.js';
import { keepersOn } from '../under-sanitizer.js';
import { Contender, type Arena, type Ending } from './contender.js';

const [submit = 'thread', seed = '0', lives = '6'] = process.argv.slice(2);
const folder = process.env.STACKGLUE_FAKE_MACHINE ?? '';
const random = new Random(Number(seed));
const machine = await MachineControl.open(folder);

const GROUP = 'requests';
const CONTENDERS = 48;
const RESOURCES = 8;
/** So many in each life, if it is not lost before. */
const COMPLETIONS = 600;

/** The end of a connection is waited for, however slow the host is. */
const NO_LIMIT_MS = 2 ** 31 - 1;

/** How a life ends: by calm and unlocks, in the middle, by the machine, or by the keeper's death. */
const ENDINGS = ['settled', 'in the middle', 'removed', 'keeper killed'] as const;

/** One connection, from its beginning to its end. */
class Life implements Arena {
  readonly glue = new StackGlue();
  connection!: ClusterConnection;
  isLost = false;
  #isOver = false;
  #isCalm = false;
  #events = 0;
  readonly #contenders: Contender[] = [];
  readonly #purges: Promise<void>[] = [];

  async live(ending: (typeof ENDINGS)[number]): Promise<number> {
    await machine.tell(`random ${random.below(2 ** 31)}`);
    await this.#connect();
    for (let i = 0; i < CONTENDERS; i += 1) {
      this.#contenders.push(new Contender(this, random, `r${i % RESOURCES}`));
    }
    while (this.#completions < COMPLETIONS && !this.isLost) {
      for (let acts = random.below(20); acts > 0; acts -= 1) random.pick(this.#contenders).act();
      if (random.chance(0.02)) this.#beBusy();
      if (random.chance(0.02)) this.#purge();
      await nextTurn();
    }
    if (ending === 'removed' && !this.isLost) await this.#untilLost(`remove ${GROUP}`);
    if (ending === 'keeper killed') this.#killKeeper();
    if (ending === 'settled') await this.#settle();
    this.#isOver = true;
    await this.#disconnect(ending);
    await Promise.all(this.#purges);
    await nextTurn();
    return this.#completions;
  }

  get #completions(): number {
    return this.#contenders.reduce((sum, { completions }) => sum + completions, 0);
  }

  async #connect(): Promise<void> {
    this.glue.register(
      createUserPlugin({ submit, disconnectTimeoutMs: NO_LIMIT_MS } as UserStackOptions),
    );
    this.glue.clusterStack = 'pcmk';
    const handle = (work: () => void): void => {
      if (this.#isOver) throw new Error('a handler was called after the disconnect');
      if (this.isLost) throw new Error('a handler was called after the loss was told');
      this.#events += 1;
      work();
      while (!this.#isCalm && random.chance(0.5)) random.pick(this.#contenders).act();
    };
    this.glue.setLockingProtocol({
      maxVersion: { major: 1, minor: 0 },
      lockAst: (contender) => {
        handle(() => (contender as Contender).onLockAst());
      },
      blockingAst: () => {
        handle(() => undefined);
      },
      unlockAst: (ending, error) => {
        const { contender, of } = ending as Ending;
        handle(() => contender.onUnlockAst(of, error));
      },
    });
    this.connection = await this.glue.clusterConnect({
      stackName: 'pcmk',
      group: GROUP,
      recoveryHandler: () => undefined,
      noticeHandler: ({ locks }) => {
        if (locks !== 'lost') return;
        this.isLost = true;
        for (const contender of this.#contenders) contender.lose();
      },
    });
  }

  /** Settles, too, and if it be with the connection's end. */
  #purge(): void {
    const purged = dlmPurge(this.connection, random.pick([0, 2]), 0);
    this.#purges.push(
      purged.catch((error: unknown) => {
        if (!(error instanceof DlmError) || error.code !== 'ERR_DLM_DISCONNECTED') throw error;
      }),
    );
  }

  /** Events pile up meanwhile. */
  #beBusy(): void {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, random.below(20));
  }

  async #untilLost(command: string): Promise<void> {
    await machine.tell(command);
    while (!this.isLost) await nextTurn();
  }

  /** With the submitter `keeper` the locks are lost; with the others all goes on. */
  #killKeeper(): void {
    for (const pid of keepersOn(folder)) kill(pid, 'SIGKILL');
  }

  /** Nothing may be left that is not completed. */
  async #settle(): Promise<void> {
    this.#isCalm = true;
    await machine.tell('calm');
    for (;;) {
      while (this.#contenders.some(({ isBusy }) => isBusy)) await nextTurn();
      const before = this.#events;
      for (const contender of this.#contenders) contender.unlock();
      if (!this.#contenders.some(({ isBusy }) => isBusy)) return;
      while (this.#events === before) await nextTurn();
    }
  }

  async #disconnect(ending: (typeof ENDINGS)[number]): Promise<void> {
    await this.glue.clusterDisconnect(this.connection).catch((error: unknown) => {
      // The keeper was the last to have the device, and the lockspace is stopped.
      const isLate = error instanceof DlmError && error.code === 'ERR_DLM_TIMEOUT';
      if (!isLate || ending !== 'keeper killed') throw error;
    });
  }
}

let completions = 0;
for (let life = 0; life < Number(lives); life += 1) {
  const ending = ENDINGS[life] ?? random.pick(ENDINGS);
  completions += await new Life().live(ending);
}
machine.close();
console.log(`${completions} completions`);
