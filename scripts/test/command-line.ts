/** The command line of `npm test`: what is asked for, and which files that is. */
import { availableParallelism } from 'node:os';

import { commandLine, wholeFrom } from '../arguments.js';
import { allFiles, namedFiles, select, type Extent, type Selection } from './selection.js';

export interface Options {
  readonly extent: Extent;
  /** Files and folders that were named; if there are any, the extent does not matter. */
  readonly words: readonly string[];
  readonly grep: string | undefined;
  readonly bail: boolean;
  readonly repeat: number;
  /** Whether all processors are kept busy by something else. */
  readonly busy: boolean;
  readonly jobs: number;
}

const EXAMPLES = `
Examples:
  npm test                                      what a person waits for: 6 minutes at most
  npm run test:fast                             no virtual machine, no compiler: a minute
  npm test -- test/stackglue/lksb.test.ts       one file, or the files of a folder
  npm test -- --grep "value block"              the tests of such titles
  npm test -- --full                            everything, as CI does
  npm run test:fast -- --repeat 200 --busy      again and again on a busy host`;

/** Machines wait for each other now and then, so that there is room for one job more. */
function defaultJobs(): number {
  return availableParallelism() + 1;
}

interface Flags {
  fast?: true;
  full?: true;
  all?: true;
  grep?: string;
  bail?: true;
  repeat: number;
  busy?: true;
  jobs: number;
}

function extentOf({ fast, full, all }: Flags): Extent {
  if (fast) return 'fast';
  if (full) return all ? 'all' : 'full';
  return process.env.CI === 'true' ? 'full' : 'quick';
}

/** Reads a command line; prints the help, or what is wrong with it, and ends the process then. */
export function parse(args: readonly string[]): Options {
  const command = commandLine('npm test --')
    .description('Runs the tests.')
    .argument('[files...]', 'files and folders of tests, rather than a choice of all')
    .option('--fast', 'what needs no virtual machine, and neither compiles, lints nor measures')
    .option('--full', 'everything; where two kernels are to say the same, one of them in turn')
    .option('--all', 'with --full: on each kernel')
    .option('-g, --grep <regex>', 'only tests whose titles match')
    .option('-b, --bail', 'end with the first failure')
    .option('--repeat <n>', 'so many times', wholeFrom(1), 1)
    .option('--busy', 'keep all processors busy meanwhile')
    .option('--jobs <n>', 'so many files at a time', wholeFrom(1), defaultJobs())
    .addHelpText('after', EXAMPLES);
  command.parse([...args], { from: 'user' });
  const flags = command.opts<Flags>();
  if (flags.all && !flags.full) command.error('error: --all goes with --full');
  if (flags.fast && flags.full) command.error('error: --fast or --full, not both');
  return {
    extent: extentOf(flags),
    words: command.args,
    grep: flags.grep,
    bail: flags.bail ?? false,
    repeat: flags.repeat,
    busy: flags.busy ?? false,
    jobs: flags.jobs,
  };
}

/**
 * The files that are to be run. A title can be in any file.
 *
 * @throws {RangeError} when a word names no tests.
 */
export function filesOf({ extent, words, grep }: Options): Selection {
  if (words.length > 0) return { files: namedFiles(words), leftOut: [] };
  const isEverywhere = grep !== undefined && extent === 'quick';
  return select(isEverywhere ? 'all' : extent, allFiles(), new Date());
}
