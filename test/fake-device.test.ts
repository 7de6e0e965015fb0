/**
 * The addon, its binding and its keeper under the sanitizers, on a fake machine: whatever kernel and
 * dlm_controld do, every request has one completion, and nobody touches memory that is not theirs.
 */
import { expect } from 'chai';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { FakeMachine } from './fake-device/machine.js';
import type { Sanitizer } from './fake-device/reports.js';
import { runUnder, type Builder, type Outcome } from './fake-device/under-sanitizer.js';
import { Random } from './support/random.js';
import { skipBecause } from './support/skip.js';

const root = join(import.meta.dirname, '../..');
const builder = (await import(
  pathToFileURL(join(root, 'test/fake-device/build.mjs')).href
)) as Builder;

const SANITIZERS: readonly Sanitizer[] = ['address', 'thread'];
const SUBMITTERS = ['thread', 'loop', 'keeper'];
const LIVES = 5;
/** Events against the model of the order; STACKGLUE_EVENTS sets how many, for a long run by hand. */
const EVENTS = process.env.STACKGLUE_EVENTS ?? '3000';
const WORKERS = 9;

/** Steps in a service's life at which it ends by itself, and how: test/guest/step-child.ts. */
const ENDINGS = [
  ['connecting', 'exit'],
  ['lock in flight', 'exit'],
  ['blocked', 'exit'],
  ['unlock in flight', 'exit'],
  ['disconnecting', 'exit'],
  ['connected', 'throw'],
  ['held', 'throw'],
] as const;
/** Of programs/keeper.ts, and what each shows. */
const KEEPER_PARTS = [
  ['leavesNothingOfRetries', 'leaves no keeper behind when connecting takes too long'],
  ['givesUpWhenAborted', 'leaves nothing of a connect that is aborted, wherever it is'],
  ['opensSideBySide', 'opens lockspaces side by side while udev takes its time'],
  ['givesUpWhatHasNoDevice', 'gives a lockspace up again that gets no device'],
  ['tellsAnEndAmongNews', 'tells the end of a connection, whatever else happens then'],
  ['isKilledInACall', 'lets a keeper be killed in the middle of a call'],
  ['sharesALockspace', 'gives a lockspace up with the last share in it'],
  ['needsOneInotify', 'watches all lockspaces of an event loop by one inotify instance'],
  ['endsWithoutAKeeper', 'ends a connection whose keeper was killed'],
  ['findsARelativeLibrary', 'finds a library by a path from where the service is'],
  ['keepsNoSecrets', "starts a keeper without what is the service's own"],
] as const;
/** Of programs/losses.ts, and what each shows. */
const LOSS_PARTS = [
  ['everyKind', 'ends requests of every kind once, in order'],
  ['crowd', 'ends a crowd of requests, wherever they are'],
  ['disconnectMeanwhile', 'lets a program disconnect'],
  ['requestsMeanwhile', 'refuses at once what is asked for'],
  ['whileConnecting', 'tells who is connecting'],
  ['again', 'lets a program connect again'],
  ['nextOne', 'leaves the next one alone'],
  ['withoutKeeper', 'tells also who has no keeper'],
] as const;
const EXIT_CODES = { exit: 7, throw: 1 };

/** Why this user cannot have a PID namespace here, or undefined. */
function whyNoNamespace(): string | undefined {
  const args = ['--pid', '--fork', '--mount-proc', 'true'];
  const { status, stderr, error } = spawnSync('unshare', args, { encoding: 'utf8' });
  return status === 0 ? undefined : `no PID namespace: ${error?.message ?? stderr.trim()}`;
}

describe('stack user on a fake machine', function () {
  this.slow(30_000);
  let machine: FakeMachine;

  for (const sanitizer of SANITIZERS) {
    describe(`under the ${sanitizer} sanitizer`, () => {
      before(async function () {
        this.timeout(0); // a compiler ends by itself
        const missing = await builder.missingTool(sanitizer);
        if (missing !== undefined) skipBecause(this, `cannot build: no ${missing}`);
        const start = performance.now();
        await builder.build([sanitizer]);
        console.log(`      built in ${((performance.now() - start) / 1000).toFixed(1)} s`);
      });
      beforeEach(async () => {
        machine = await FakeMachine.start(builder.machinePath);
      });
      afterEach(() => machine.stop());

      const run = (program: string, args: string[], options = {}): Promise<Outcome> =>
        runUnder(builder, sanitizer, machine, `test/${program}.js`, args, options);
      const expectClean = (outcome: Outcome, code = 0): void => {
        expect(outcome.reports.join('\n'), 'reports').to.equal('');
        expect(outcome, outcome.output).to.include({ code, signal: null });
        expect(outcome.faults, 'requests that no kernel should see').to.deep.equal([]);
      };
      const newSeed = (): string => {
        const { seed } = new Random();
        console.log(`      seed ${seed}`);
        return `${seed}`;
      };

      for (const kind of sanitizer === 'address' ? ['use after free', 'leak'] : ['race']) {
        it(`finds what is there to be found: ${kind}`, async () => {
          const { reports } = await run('fake-device/programs/planted', [kind], { leaks: true });
          expect(reports.join('\n')).to.match(/planted\.cc/);
        });
      }

      for (const submit of SUBMITTERS) {
        it(`tells what the machine is told to do, asked by ${submit}`, async () => {
          expectClean(await run('fake-device/programs/told', [submit]));
        });

        it(`shows the ring of the membership that has been told of, asked by ${submit}`, async () => {
          expectClean(await run('fake-device/programs/rings', [submit]));
        });

        it(`tells why each node has gone, however many at once, asked by ${submit}`, async () => {
          expectClean(await run('fake-device/programs/burst', [submit]));
        });

        it(`hears all answers after it has stood still, asked by ${submit}`, async () => {
          expectClean(await run('fake-device/programs/still', [submit]));
        });

        it(`completes each request once, made by ${submit}`, async () => {
          expectClean(await run('fake-device/programs/requests', [submit, newSeed(), `${LIVES}`]));
        });
      }

      for (const [part, title] of LOSS_PARTS) {
        for (const submit of SUBMITTERS) {
          it(`${title} when the lockspace is taken away, asked by ${submit}`, async () => {
            expectClean(await run('fake-device/programs/losses', [submit, part]));
          });
        }
      }

      for (const submit of SUBMITTERS) {
        it(`tells random events in the order of the model, asked by ${submit}`, async () => {
          const outcome = await run('fake-device/programs/order', [submit, newSeed(), EVENTS]);
          expectClean(outcome);
          console.log(`      ${outcome.output.trim()}`);
        });
      }

      for (const [part, title] of KEEPER_PARTS) {
        it(title, async () => {
          const env = { STACKGLUE_SECRET: 'secret' };
          const outcome = await run('fake-device/programs/keeper', [part], { env });
          expectClean(outcome);
          expect(outcome.spaces, 'lockspaces that are left').to.equal(0);
        });
      }

      it('leaves no zombie where it is the first process of a container', async function () {
        const reason = whyNoNamespace();
        if (reason !== undefined) skipBecause(this, reason);
        expectClean(await run('fake-device/programs/keeper', ['reapsInANamespace']));
      });

      it('lets worker threads be terminated at any step', async () => {
        expectClean(await run('fake-device/programs/workers', [newSeed(), `${WORKERS}`]));
      });

      // Whose events wake the loop of another thread: native/binding/loop_wake.h.
      for (const stack of ['o2cb', 'pcmk']) {
        for (const step of ['blocked', 'unlock in flight']) {
          it(`lets workers on emulated ${stack} be terminated: ${step}`, async () => {
            expectClean(await run('lifecycle/children/workers', [step, '4', stack]));
          });
        }
      }

      for (const [step, ending] of ENDINGS) {
        it(`lets a process end by ${ending}: ${step}`, async () => {
          const outcome = await run('guest/step-child', ['steps', 'r', step, ending]);
          expectClean(outcome, EXIT_CODES[ending]);
          expect(outcome.spaces, 'lockspaces that are left').to.equal(0);
        });
      }

      if (sanitizer === 'address') {
        for (const stack of ['user', 'emulated', 'o2cb']) {
          it(`connects or says why, whichever allocation fails: ${stack}`, async () => {
            const options = { failsToAllocate: true };
            const outcome = await run('fake-device/programs/memory', [stack], options);
            expectClean(outcome);
            console.log(`      ${outcome.output.trim()}`);
          });
        }

        it('leaves no memory behind', async () => {
          const outcome = await run('fake-device/programs/leaks', [], { leaks: true });
          expectClean(outcome);
          expect(outcome.spaces, 'lockspaces that are left').to.equal(0);
        });
      }
    });
  }
});
