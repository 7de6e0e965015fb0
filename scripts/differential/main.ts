/** `npm run differential`: runs random sequences on the engine and on real kernels, and compares. */
import { randomInt } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';

import { commandLine, oneOf, wholeFrom } from '../arguments.js';
import { printingProgress, VmError, whyNotHere } from '../vm/index.js';
import { runFsdlm } from './fsdlm/index.js';
import { checkRecording, runO2dlm } from './o2dlm/index.js';
import type { Outcome, ProfileOptions } from './profile.js';

const KERNELS = ['linux-image-amd64', 'linux-image-6.12-amd64'];

const PROFILES = { fsdlm: runFsdlm, o2dlm: runO2dlm } as const satisfies Record<
  string,
  (options: ProfileOptions) => Promise<Outcome>
>;
type ProfileName = keyof typeof PROFILES;
const NAMES = Object.keys(PROFILES) as ProfileName[];

interface Flags {
  readonly profile?: readonly ProfileName[];
  readonly kernel?: readonly string[];
  readonly sequences: number;
  readonly commands: number;
  readonly seed?: number;
  readonly first: number;
  readonly shrink: number;
  readonly record?: string;
  readonly check?: string;
  readonly json?: string;
}

/** For an option that can be given several times. */
function several<Value>(parse: (text: string) => Value) {
  return (text: string, before: readonly Value[] | undefined): Value[] => [
    ...(before ?? []),
    parse(text),
  ];
}

function parse(): Flags {
  const command = commandLine('npm run differential --')
    .description(
      'Runs random sequences of commands on the engine and on real kernels, and compares.',
    )
    .option('--profile <name>', `${NAMES.join(' or ')} (both)`, several(oneOf(NAMES)))
    .option(
      '--kernel <package>',
      `a Debian kernel package, more than once for several (${KERNELS.join(' and ')})`,
      several((text) => text),
    )
    .option('--sequences <n>', 'how many on each kernel', wholeFrom(1), 1000)
    .option('--commands <n>', 'commands in each, at least', wholeFrom(1), 50)
    .option('--seed <n>', 'of a run that is to be repeated', wholeFrom(0))
    .option('--first <n>', 'number of the first sequence', wholeFrom(0), 0)
    .option(
      '--shrink <n>',
      "how many of each 500 sequences' disagreements are made smaller",
      wholeFrom(0),
      2,
    )
    .option('--record <file>', 'o2dlm: keep what the kernels did')
    .option('--check <file>', 'o2dlm: judge what was kept, without any kernel')
    .option('--json <file>', 'write the result there, too');
  return command.parse().opts<Flags>();
}

const say = (line: string): void => console.log(line);

function describeOutcome(outcome: Outcome, all: number): string {
  const { agreed, undecided, commands, seconds } = outcome;
  const unknown = undecided === 0 ? '' : `, ${undecided} undecided`;
  const given = `${commands} commands in ${seconds.toFixed(0)} s`;
  return `${agreed} of ${all} sequences agree${unknown}, ${given}`;
}

async function main(): Promise<void> {
  const values = parse();
  if (values.check !== undefined) {
    const outcome = await checkRecording(values.check, say);
    const all = outcome.agreed + outcome.disagreements.length + outcome.undecided;
    console.log(describeOutcome(outcome, all));
    if (outcome.agreed < all) process.exitCode = 1;
    return;
  }
  const reason = await whyNotHere();
  if (reason !== undefined) throw new VmError('unsupported', reason);
  const seed = values.seed ?? randomInt(2 ** 31);
  const options = {
    seed,
    sequences: values.sequences,
    commands: values.commands,
    shrinks: values.shrink,
    first: values.first,
    recording: values.record,
    say,
    progress: printingProgress((line) => console.log(line)),
  };

  if (values.record !== undefined) writeFileSync(values.record, '');
  console.log(`seed ${seed}`);
  const rows: object[] = [];
  for (const name of values.profile ?? NAMES) {
    for (const kernel of values.kernel ?? KERNELS) {
      const outcome = await PROFILES[name]({ ...options, kernel });
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
  // A cluster that cannot be had, on a busy machine mostly: where in here makes no difference.
  if (!(error instanceof VmError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
