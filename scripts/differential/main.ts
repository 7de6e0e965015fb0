/** `npm run differential`: runs random sequences on the engine and on real kernels, and compares. */
import { randomInt } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';

import { printingProgress, VmError, whyNotHere } from '../vm/index.js';
import { runFsdlm } from './fsdlm/index.js';
import { checkRecording, runO2dlm } from './o2dlm/index.js';
import type { Outcome, ProfileOptions } from './profile.js';

const USAGE = `Runs random sequences of commands on the engine and on real kernels, and compares.

  npm run differential -- [options]
      --profile <name>     fsdlm, o2dlm (all)
      --kernel <package>   a Debian kernel package, more than once for several
                           (linux-image-amd64 and linux-image-6.12-amd64)
      --sequences <n>      how many on each kernel (1000)
      --commands <n>       commands in each, at least (50)
      --seed <n>           of a run that is to be repeated
      --first <n>          number of the first sequence (0)
      --shrink <n>         how many of each 500 sequences' disagreements are made smaller (2)
      --record <file>      o2dlm: keep what the kernels did
      --check <file>       o2dlm: judge what was kept, without any kernel
      --json <file>        write the result there, too
`;

const KERNELS = ['linux-image-amd64', 'linux-image-6.12-amd64'];

const PROFILES: Readonly<Record<string, (options: ProfileOptions) => Promise<Outcome>>> = {
  fsdlm: runFsdlm,
  o2dlm: runO2dlm,
};

class UsageError extends Error {}

function whole(text: string, flag: string, least: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= least && value < 2 ** 31) return value;
  throw new UsageError(`${flag} must be a whole number from ${least}, not "${text}".`);
}

const say = (line: string): void => console.log(line);

function describeOutcome(outcome: Outcome, all: number): string {
  const { agreed, undecided, commands, seconds } = outcome;
  const unknown = undecided === 0 ? '' : `, ${undecided} undecided`;
  const given = `${commands} commands in ${seconds.toFixed(0)} s`;
  return `${agreed} of ${all} sequences agree${unknown}, ${given}`;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      profile: { type: 'string', multiple: true, default: Object.keys(PROFILES) },
      kernel: { type: 'string', multiple: true, default: KERNELS },
      sequences: { type: 'string', default: '1000' },
      commands: { type: 'string', default: '50' },
      seed: { type: 'string' },
      first: { type: 'string', default: '0' },
      shrink: { type: 'string', default: '2' },
      record: { type: 'string' },
      check: { type: 'string' },
      json: { type: 'string' },
    },
  });
  if (values.check !== undefined) {
    const outcome = await checkRecording(values.check, say);
    const all = outcome.agreed + outcome.disagreements.length + outcome.undecided;
    console.log(describeOutcome(outcome, all));
    if (outcome.agreed < all) process.exitCode = 1;
    return;
  }
  const seed = values.seed === undefined ? randomInt(2 ** 31) : whole(values.seed, '--seed', 0);
  const options = {
    seed,
    sequences: whole(values.sequences, '--sequences', 1),
    commands: whole(values.commands, '--commands', 1),
    shrinks: whole(values.shrink, '--shrink', 0),
    first: whole(values.first, '--first', 0),
    recording: values.record,
    say,
    progress: printingProgress((line) => console.log(line)),
  };
  const profiles = values.profile.map((name) => {
    const run = PROFILES[name];
    if (run !== undefined) return { name, run };
    throw new UsageError(`--profile can be ${Object.keys(PROFILES).join(', ')}, not "${name}".`);
  });
  const reason = await whyNotHere();
  if (reason !== undefined) throw new UsageError(reason);

  if (values.record !== undefined) writeFileSync(values.record, '');
  console.log(`seed ${seed}`);
  const rows: object[] = [];
  for (const { name, run } of profiles) {
    for (const kernel of values.kernel) {
      const outcome = await run({ ...options, kernel });
      console.log(`\n${name} against ${kernel}: ${describeOutcome(outcome, options.sequences)}`);
      rows.push({ profile: name, kernel, seed, ...outcome, sequences: options.sequences });
      if (outcome.agreed < options.sequences) process.exitCode = 1;
    }
  }
  if (values.json !== undefined) {
    const machine = { cpus: cpus().length, model: cpus()[0]?.model };
    writeFileSync(values.json, `${JSON.stringify({ machine, rows }, undefined, 2)}\n`);
  }
}

try {
  await main();
} catch (error) {
  if (error instanceof UsageError || error instanceof TypeError) {
    console.error(`${error.message}\n\n${USAGE}`);
    process.exitCode = 2;
  } else if (error instanceof VmError) {
    // A cluster that cannot be had, on a busy machine mostly: where in here makes no difference.
    console.error(error.message);
    process.exitCode = 1;
  } else {
    throw error;
  }
}
