/**
 * What keepers wait for, and what becomes of them when nobody waits for them any more. Each part is over when
 * the one thing that must come has come.
 */
import { spawnSync } from 'node:child_process';
import { getEventListeners } from 'node:events';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { constants } from 'node:os';
import { join, relative } from 'node:path';
import { kill } from 'node:process';
import { setImmediate as nextTurn } from 'node:timers/promises';

import {
  DLM_LOCK,
  DlmError,
  DlmLksb,
  dlmOwnPid,
  dlmPurge,
  type StackGlue,
  type ClusterConnection,
} from '../../../lib/glue.js';
import { nobodyLeft } from '../../support/nobody-left.js';
import { silentGlue } from '../../support/silent-glue.js';
import { Journal } from '../journal.js';
import { MachineControl, type MachineState } from '../machine.js';
import { keepersOn } from '../under-sanitizer.js';

const folder = process.env.STACKGLUE_FAKE_MACHINE ?? '';
/** The end of a connection is waited for, however slow the host is. */
const NO_LIMIT_MS = 2 ** 31 - 1;
const machine = await MachineControl.open(folder);

const connect = (glue: StackGlue, group: string): Promise<ClusterConnection> =>
  glue.clusterConnect({ stackName: 'pcmk', group, recoveryHandler: () => undefined });

async function failureOf(promise: Promise<unknown>): Promise<DlmError> {
  const error = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (error instanceof DlmError) return error;
  throw new Error(`${String(error)} instead of a DlmError`);
}

function expectEqual(what: string, found: unknown, expected: unknown): void {
  if (found !== expected) throw new Error(`${what}: ${String(found)}, not ${String(expected)}`);
}

async function until(is: (state: MachineState) => boolean): Promise<void> {
  while (!is(await machine.state())) await nextTurn();
}

const noKeepers = (): Promise<void> =>
  nobodyLeft(() => keepersOn(folder).map((pid) => `keeper ${pid}`));

/** Nothing of it runs any more; it may wait to be reaped. */
function hasEnded(pid: number): boolean {
  try {
    const isZombie = readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');
    return isZombie && readdirSync(`/proc/${pid}/task`).length === 1;
  } catch {
    return true;
  }
}

/** None of this process's threads has one, be it a zombie. */
const noChildren = (): Promise<void> =>
  nobodyLeft(() =>
    readdirSync('/proc/self/task').flatMap((thread) => {
      try {
        return readFileSync(`/proc/self/task/${thread}/children`, 'utf8')
          .split(' ')
          .filter(Boolean);
      } catch {
        return []; // a thread that has ended
      }
    }),
  );

/** The cluster lets nobody in: who gives up leaves no keeper behind, neither the first nor those in its turn. */
async function leavesNothingOfRetries(): Promise<void> {
  await machine.tell('hold');
  const glue = silentGlue({ connectTimeoutMs: 50 });
  for (let i = 0; i < 4; i += 1) {
    expectEqual('a retry', (await failureOf(connect(glue, 'retried'))).code, 'ERR_DLM_TIMEOUT');
  }
  await noKeepers();
  // The machine sees their ends one after the other, as it does everything.
  await until(({ held }) => held === 0);
  await machine.tell('admit');
  expectEqual('lockspaces of retries', (await machine.state()).spaces, 0);
}

/** At each step: before the keeper has got in, and when it has and the versions are agreed on. */
async function givesUpWhenAborted(): Promise<void> {
  const reason = new Error('enough');
  const { connection: kept, glue } = await (async () => {
    const glue = silentGlue({});
    return { glue, connection: await connect(glue, 'kept') };
  })();
  for (const submit of ['thread', 'loop', 'keeper'] as const) {
    const given = silentGlue({ submit });
    const before = descriptors();
    for (const step of ['opening', 'agreeing'] as const) {
      await machine.tell(step === 'opening' ? 'hold' : 'rule kept version_lock wait');
      const controller = new AbortController();
      const { signal } = controller;
      const group = step === 'opening' ? 'aborted' : 'kept';
      const connecting = given
        .clusterConnect({ stackName: 'pcmk', group, recoveryHandler: () => undefined, signal })
        .then(
          () => undefined,
          (error: unknown) => error,
        );
      await until(({ held, waiting }) => (step === 'opening' ? held : waiting) > 0);
      controller.abort(reason);
      expectEqual(`${step} by ${submit}`, await connecting, reason);
      expectEqual('listeners', getEventListeners(signal, 'abort').length, 0);
      // Behind it: the keeper of the other connection is the only one that is left.
      await nobodyLeft(() =>
        keepersOn(folder)
          .slice(1)
          .map((pid) => `keeper ${pid}`),
      );
      while (given.activeClusterPlugin !== undefined) await nextTurn();
      await until(({ held, waiting, devices }) => held + waiting === 0 && devices === 1);
      await machine.tell(step === 'opening' ? 'admit' : 'rule kept version_lock grant');
      expectEqual('lockspaces', (await machine.state()).spaces, 1);
    }
    while (descriptors() > before) await nextTurn();
  }
  await glue.clusterDisconnect(kept);
}

/** How many descriptors there are but those that a sanitizer reports by. */
function descriptors(): number {
  const isReport = (name: string): boolean => {
    try {
      return readlinkSync(`/proc/self/fd/${name}`).startsWith(`${folder}/reports/`);
    } catch {
      return false; // it was the folder's own
    }
  };
  return readdirSync('/proc/self/fd').filter((name) => !isReport(name)).length;
}

/** The turn to create is over when the kernel has done its part, however long udev takes. */
async function opensSideBySide(): Promise<void> {
  await machine.tell('udev off');
  const glue = silentGlue({});
  const opening = ['one', 'two', 'three'].map((group) => connect(glue, group));
  await until(({ spaces }) => spaces === 3);
  await machine.tell('udev on');
  for (const connection of await Promise.all(opening)) await glue.clusterDisconnect(connection);
}

/** Nobody could use a lockspace that has no device: it is given up again, and told as that. */
async function givesUpWhatHasNoDevice(): Promise<void> {
  await machine.tell('udev off');
  const failure = failureOf(connect(silentGlue({}), 'nameless'));
  await until(({ spaces }) => spaces === 1);
  await machine.tell('udev dead');
  expectEqual('without a device', (await failure).code, 'ERR_DLM_NO_DEVICE');
  expectEqual('its lockspaces', (await machine.state()).spaces, 0);
  await machine.tell('udev on');
}

/** What happens while the keeper leaves is not asked about, and so in nobody's way. */
async function tellsAnEndAmongNews(): Promise<void> {
  const glue = silentGlue({});
  const connection = await connect(glue, 'news');
  await machine.tell('hold');
  const end = glue.clusterDisconnect(connection);
  await until(({ held }) => held === 1);
  await machine.tell('join news 3');
  await machine.tell('admit');
  await end;
}

/** In the middle of a call to the kernel, which goes on: nobody is there any more to whom it could return. */
async function isKilledInACall(): Promise<void> {
  const glue = silentGlue({ submit: 'keeper' });
  const connection = await connect(glue, 'killed');
  await machine.tell('journal killed');
  const journal = new Journal(folder);
  // From here on no turn of this loop. It would hear of the stop, and make no call; and of the keeper's death,
  // and close the device before the call has returned.
  const until = (fact: string): void => {
    while (!journal.read().includes(fact));
  };
  const stopped = machine.tell('stop killed');
  until('stop');
  expectEqual('a request', glue.dlmLock(connection, DLM_LOCK.EX, new DlmLksb(), 0, 'r'), 0);
  until('waits');
  const keepers = keepersOn(folder);
  for (const pid of keepers) kill(pid, 'SIGKILL');
  while (!keepers.every(hasEnded));
  const started = machine.tell('start killed');
  until('result r 0');
  await Promise.all([stopped, started]);
  journal.close();
  // Whether it is in time nobody can tell without a keeper.
  await glue.clusterDisconnect(connection).catch((error: unknown) => {
    if (!(error instanceof DlmError) || error.code !== 'ERR_DLM_TIMEOUT') throw error;
  });
  await machine.tell('remove killed');
}

/** A share in what is there, and what happens to it. */
async function sharesALockspace(): Promise<void> {
  const glue = silentGlue({});
  const [one, other] = [await connect(glue, 'shared'), await connect(glue, 'shared')];
  await glue.clusterDisconnect(one);
  expectEqual('lockspaces with a share', (await machine.state()).spaces, 1);
  await glue.clusterDisconnect(other);
  expectEqual('lockspaces without', (await machine.state()).spaces, 0);
}

/** No secret of the service is in a keeper, nor a child of the service left unreaped. */
async function keepsNoSecrets(): Promise<void> {
  const glue = silentGlue({});
  const connection = await connect(glue, 'secret');
  const [keeper] = keepersOn(folder);
  if (!(process.env.STACKGLUE_SECRET ?? '')) throw new Error('no secret to be kept');
  const environment = readFileSync(`/proc/${keeper}/environ`, 'utf8');
  expectEqual('a secret in the keeper', environment.includes('STACKGLUE_SECRET'), false);
  await noChildren();
  await glue.clusterDisconnect(connection);
}

/** A relative path is from where this process is, though its keeper is elsewhere. */
async function findsARelativeLibrary(): Promise<void> {
  const path = join(process.env.LD_LIBRARY_PATH ?? '', 'libdlm_lt.so.3');
  const glue = silentGlue({ library: relative(process.cwd(), path) });
  await glue.clusterDisconnect(await connect(glue, 'relative'));
}

/** This process is the first of a PID namespace, whose orphans are all its children: it reaps its keepers. */
async function isFirstProcess(): Promise<void> {
  expectEqual('the number of the first process', process.pid, 1);
  const glue = silentGlue({});
  const connection = await connect(glue, 'first');
  expectEqual('a number that is not known', dlmOwnPid(connection), 0);
  const purge = failureOf(dlmPurge(connection, 0, 4711));
  expectEqual('a purge of who may be this one', (await purge).errno, constants.errno.EOPNOTSUPP);
  await glue.clusterDisconnect(connection);
  await noChildren();
}

/** The same, in a PID namespace of its own. */
function reapsInANamespace(): void {
  const args = ['--pid', '--fork', '--mount-proc', process.execPath, process.argv[1] ?? ''];
  const { status } = spawnSync('unshare', [...args, 'isFirstProcess'], { stdio: 'inherit' });
  expectEqual('the end of the first process', status, 0);
}

/**
 * Without its keeper a connection ends all the same: nobody else could tell when the locks are dropped, and
 * this process does that itself. While the lockspace is stopped that waits, and what waits is told of.
 */
async function endsWithoutAKeeper(): Promise<void> {
  const killed = (): Promise<void> => {
    for (const pid of keepersOn(folder)) process.kill(pid, 'SIGKILL');
    return noKeepers();
  };
  for (const submit of ['thread', 'loop', 'keeper'] as const) {
    for (const isHeardOf of [true, false]) {
      let hear = (): void => undefined;
      const gone = new Promise<void>((resolve) => (hear = resolve));
      const glue = silentGlue({ submit, disconnectTimeoutMs: NO_LIMIT_MS });
      const connection = await glue.clusterConnect({
        stackName: 'pcmk',
        group: 'orphaned',
        recoveryHandler: () => undefined,
        noticeHandler: ({ kind }) => {
          if (kind === 'keeperGone') hear();
        },
      });
      glue.dlmLock(connection, DLM_LOCK.EX, new DlmLksb(), 0, 'r');
      // With the one that all connections hold.
      await until(({ locks }) => locks === 2);
      if (isHeardOf) {
        await killed();
        await gone;
      }
      const end = glue.clusterDisconnect(connection);
      if (!isHeardOf) await killed();
      await end;
      await until(({ locks }) => locks === 0);
      await machine.tell('remove orphaned');
    }
  }
  // Nothing to be done with a lockspace that is stopped.
  const glue = silentGlue({ disconnectTimeoutMs: 50 });
  const connection = await connect(glue, 'orphaned');
  await machine.tell('stop orphaned');
  glue.dlmLock(connection, DLM_LOCK.EX, new DlmLksb(), 0, 'r');
  await killed();
  const failure = await failureOf(glue.clusterDisconnect(connection));
  expectEqual('the end of what is stopped', failure.code, 'ERR_DLM_TIMEOUT');
  await machine.tell('remove orphaned');
}

/** One for the event loop, however many connections it has. */
async function needsOneInotify(): Promise<void> {
  const count = (): number =>
    readdirSync('/proc/self/fd').filter((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`) === 'anon_inode:inotify';
      } catch {
        return false; // of the list itself
      }
    }).length;
  const before = count();
  const glue = silentGlue({});
  const connections: ClusterConnection[] = [];
  for (let i = 0; i < 5; i += 1) connections.push(await connect(glue, `watched${i % 2}`));
  expectEqual('inotify instances', count() - before, 1);
  for (const connection of connections) await glue.clusterDisconnect(connection);
  expectEqual('inotify instances that are left', count(), before);
}

const parts = {
  leavesNothingOfRetries,
  givesUpWhenAborted,
  opensSideBySide,
  givesUpWhatHasNoDevice,
  tellsAnEndAmongNews,
  isKilledInACall,
  sharesALockspace,
  keepsNoSecrets,
  findsARelativeLibrary,
  needsOneInotify,
  endsWithoutAKeeper,
  isFirstProcess,
  reapsInANamespace,
};
const [part = ''] = process.argv.slice(2);
await parts[part as keyof typeof parts]();
await noKeepers();
machine.close();
