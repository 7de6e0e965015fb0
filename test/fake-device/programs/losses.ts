/**
 * A lockspace that is taken away in the middle of something: `submit part`. Each part says what the program was
 * told, in order, and is over when the connection is.
 */
import { constants } from 'node:os';

import {
  createUserPlugin,
  DLM_LKF,
  DLM_LOCK,
  DlmError,
  DlmLksb,
  dlmPurge,
  StackGlue,
  type ClusterConnection,
  type LockMode,
  type UserStackOptions,
} from '../../../lib/glue.js';
import { MachineControl, type MachineState } from '../machine.js';
import { keepersOn } from '../under-sanitizer.js';

const [submit = 'thread', part = ''] = process.argv.slice(2);
const folder = process.env.STACKGLUE_FAKE_MACHINE ?? '';
const machine = await MachineControl.open(folder);
const { ENOTCONN } = constants.errno;
const { CANCEL, CONVERT, FORCEUNLOCK, NOQUEUE } = DLM_LKF;
const { EX, PR } = DLM_LOCK;
const GROUP = 'losses';
/** The end of a connection is waited for, however slow the host is. */
const NO_LIMIT_MS = 2 ** 31 - 1;
/** More than there is room for between the loop and who makes the calls. */
const CROWD = 1_000;

/** A connection that writes down what it is told, and may do something about it. */
class Teller {
  readonly told: string[] = [];
  readonly glue = new StackGlue();
  readonly opened: Promise<ClusterConnection>;
  connection!: ClusterConnection;
  onTold: (event: string) => void = () => undefined;
  #wake: () => void = () => undefined;

  constructor() {
    const options = { submit, disconnectTimeoutMs: NO_LIMIT_MS } as UserStackOptions;
    this.glue.register(createUserPlugin(options));
    this.glue.clusterStack = 'pcmk';
    this.glue.setLockingProtocol({
      maxVersion: { major: 1, minor: 0 },
      lockAst: (lock) => {
        const { tag, lksb } = lock as Tagged;
        this.#say(`${tag} ${this.glue.dlmLockStatus(lksb)}`);
      },
      blockingAst: () => undefined,
      unlockAst: (lock, error) => {
        this.#say(`${(lock as Tagged).tag} unlock ${error}`);
      },
    });
    this.opened = this.glue.clusterConnect({
      stackName: 'pcmk',
      group: GROUP,
      recoveryHandler: (node) => {
        this.#say(`down ${node}`);
      },
      noticeHandler: ({ kind }) => {
        this.#say(kind);
      },
    });
    this.opened.catch(() => undefined);
  }

  static async open(): Promise<Teller> {
    const teller = new Teller();
    teller.connection = await teller.opened;
    return teller;
  }

  #say(event: string): void {
    this.told.push(event);
    this.onTold(event);
    this.#wake();
  }

  async hears(event: string): Promise<void> {
    while (!this.told.includes(event)) {
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  lock(lock: Tagged, name: string, flags = 0, mode: LockMode = EX): number {
    return this.glue.dlmLock(this.connection, mode, lock.lksb, flags, name, lock);
  }

  unlock(lock: Tagged, flags = 0): number {
    return this.glue.dlmUnlock(this.connection, lock.lksb, flags);
  }

  close(): Promise<void> {
    return this.glue.clusterDisconnect(this.connection);
  }
}

interface Tagged {
  readonly tag: string;
  readonly lksb: DlmLksb;
}
const tagged = (tag: string): Tagged => ({ tag, lksb: new DlmLksb() });

function expectSame(what: string, found: readonly unknown[], expected: readonly unknown[]): void {
  if (JSON.stringify(found) === JSON.stringify(expected)) return;
  throw new Error(`${what}: ${JSON.stringify(found)}, not ${JSON.stringify(expected)}`);
}

async function until(is: (state: MachineState) => boolean): Promise<void> {
  while (!is(await machine.state())) await new Promise(setImmediate);
}

const accept = (...results: number[]): void => {
  expectSame('requests', results, Array(results.length).fill(0));
};

/** Whatever is under way ends once, in the order in which it was asked for. */
async function everyKind(): Promise<void> {
  const a = await Teller.open();
  await machine.tell(`rule ${GROUP} w wait`);
  const [held, converted, unlocked, waiting, cancelled, forced, tried] = [
    'held',
    'converted',
    'unlocked',
    'waiting',
    'cancelled',
    'forced',
    'tried',
  ].map(tagged) as [Tagged, Tagged, Tagged, Tagged, Tagged, Tagged, Tagged];
  for (const lock of [held, converted, unlocked]) {
    accept(a.lock(lock, 'h', 0, PR));
    await a.hears(`${lock.tag} 0`);
  }
  await machine.tell(`stop ${GROUP}`);
  await a.hears('stopped');
  accept(a.lock(converted, 'h', CONVERT), a.unlock(converted, CANCEL), a.lock(waiting, 'w'));
  accept(a.lock(cancelled, 'w'), a.unlock(cancelled, CANCEL));
  accept(a.lock(forced, 'w'), a.unlock(forced, FORCEUNLOCK));
  accept(a.lock(tried, 'w', NOQUEUE), a.unlock(unlocked));
  const purge = dlmPurge(a.connection, 0, 4711).catch((error: unknown) => error);
  const before = a.told.length;
  await machine.tell(`remove ${GROUP}`);
  await a.hears('released');
  const lost = (...tags: string[]): string[] => tags.map((tag) => `${tag} ${-ENOTCONN}`);
  expectSame('told', a.told.slice(before), [
    ...lost('converted', 'waiting', 'cancelled', 'forced unlock', 'tried', 'unlocked unlock'),
    'released',
  ]);
  const error = await purge;
  if (!(error instanceof DlmError) || error.code !== 'ERR_DLM_DISCONNECTED') throw error;
  await a.close();
}

/** Also those that have not found a place between the loop and who makes the calls. */
async function crowd(): Promise<void> {
  const a = await Teller.open();
  await machine.tell(`stop ${GROUP}`);
  await a.hears('stopped');
  const tags = Array.from({ length: CROWD }, (_, i) => `${i}`);
  for (const tag of tags) accept(a.lock(tagged(tag), 'w'));
  await machine.tell(`remove ${GROUP}`);
  await a.hears('released');
  const expected = [...tags.map((tag) => `${tag} ${-ENOTCONN}`), 'released'];
  expectSame('told', a.told.slice(a.told.indexOf('stopped') + 1), expected);
  await a.close();
}

/** A handler that is told of the end of one request disconnects: the others end in silence. */
async function disconnectMeanwhile(): Promise<void> {
  const a = await Teller.open();
  await machine.tell(`rule ${GROUP} w wait`);
  for (const tag of ['1', '2', '3']) accept(a.lock(tagged(tag), 'w'));
  await until(({ waiting }) => waiting === 3);
  let end: Promise<void> | undefined;
  a.onTold = () => {
    end ??= a.close();
  };
  await machine.tell(`remove ${GROUP}`);
  await a.hears(`1 ${-ENOTCONN}`);
  await end;
  expectSame('told', a.told, [`1 ${-ENOTCONN}`]);
}

/** What is asked for before the loss is told is refused as what comes after it. */
async function requestsMeanwhile(): Promise<void> {
  const a = await Teller.open();
  await machine.tell(`rule ${GROUP} w wait`);
  const [held, waiting] = [tagged('held'), tagged('waiting')];
  accept(a.lock(held, 'h'));
  await a.hears('held 0');
  accept(a.lock(waiting, 'w'));
  await until((state) => state.waiting === 1);
  const refusals: number[] = [];
  a.onTold = (event) => {
    if (!event.startsWith('waiting')) return;
    refusals.push(a.unlock(waiting), a.unlock(waiting, CANCEL), a.unlock(held));
    refusals.push(a.lock(waiting, 'w'), a.lock(tagged('new'), 'w'), a.lock(held, 'h', CONVERT, PR));
  };
  await machine.tell(`remove ${GROUP}`);
  await a.hears('released');
  expectSame('refusals', refusals, Array(6).fill(-ENOTCONN));
  await a.close();
}

/** Who is just connecting is told by that, and of nothing else. */
async function whileConnecting(): Promise<void> {
  const a = await Teller.open();
  await machine.tell(`rule ${GROUP} version_lock wait`);
  const b = new Teller();
  await until(({ waiting }) => waiting === 1);
  await machine.tell(`remove ${GROUP}`);
  const error = await b.opened.catch((error: unknown) => error);
  if (!(error instanceof DlmError) || error.code !== 'ERR_DLM_LOST') throw error;
  expectSame('told', b.told, []);
  await a.hears('released');
  await a.close();
}

/** The next lockspace of that name is another one, also while the first connection is still there. */
async function again(): Promise<void> {
  const a = await Teller.open();
  let next: Promise<Teller> | undefined;
  a.onTold = () => {
    next = Teller.open();
  };
  await machine.tell(`remove ${GROUP}`);
  await a.hears('released');
  const b = await next;
  if (b === undefined) throw new Error('nothing was opened');
  accept(b.lock(tagged('new'), 'h'));
  await b.hears('new 0');
  await a.close();
  await b.close();
}

/** What a connection gives up is a share in the lockspace that it had, not in the next one of that name. */
async function nextOne(): Promise<void> {
  const a = await Teller.open();
  const keepers = keepersOn(folder);
  for (const pid of keepers) process.kill(pid, 'SIGSTOP');
  await machine.tell(`remove ${GROUP}`);
  await a.hears('released');
  const others = [await Teller.open(), await Teller.open()];
  for (const pid of keepers) process.kill(pid, 'SIGCONT');
  await a.close();
  expectSame('shares', [(await machine.state()).shares], [2]);
  for (const other of others) await other.close();
}

/** The watch on the lockspace does not need the keeper. */
async function withoutKeeper(): Promise<void> {
  const a = await Teller.open();
  await machine.tell(`rule ${GROUP} w wait`);
  accept(a.lock(tagged('waiting'), 'w'));
  await until(({ waiting }) => waiting === 1);
  for (const pid of keepersOn(folder)) process.kill(pid, 'SIGKILL');
  await a.hears('keeperGone');
  await machine.tell(`remove ${GROUP}`);
  const end = `waiting ${-ENOTCONN}`;
  if (submit === 'keeper') {
    expectSame('told', a.told, [end, 'keeperGone']);
  } else {
    await a.hears('released');
    expectSame('told', a.told, ['keeperGone', end, 'released']);
  }
  await a.close();
}

const parts = {
  everyKind,
  crowd,
  disconnectMeanwhile,
  requestsMeanwhile,
  whileConnecting,
  again,
  nextOne,
  withoutKeeper,
};
await parts[part as keyof typeof parts]();
machine.close();
