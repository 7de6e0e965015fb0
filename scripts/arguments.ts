/** Command lines by commander. Each parser of an argument returns the value, or says what it must be. */
import { Command, InvalidArgumentError } from 'commander';

/** What a program ends with that was called in a wrong way; 1 is for what has failed. */
const WRONGLY_CALLED = 2;

/** A command line that names itself so in its help. */
export function commandLine(name: string): Command {
  return new Command(name)
    .showHelpAfterError(`(${name} --help says more)`)
    .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : WRONGLY_CALLED));
}

/** A whole number from `least`. */
export function wholeFrom(least: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (Number.isSafeInteger(value) && value >= least) return value;
    throw new InvalidArgumentError(`It must be a whole number from ${least}.`);
  };
}

/** A number above 0. */
export function positive(text: string): number {
  const value = Number(text);
  if (Number.isFinite(value) && value > 0) return value;
  throw new InvalidArgumentError('It must be a number above 0.');
}

/** A list with commas, each by `parse`. */
export function listOf<Value>(parse: (text: string) => Value): (text: string) => Value[] {
  return (text) => text.split(',').map(parse);
}

/** One of `names`. */
export function oneOf<Name extends string>(names: readonly Name[]): (text: string) => Name {
  return (text) => {
    const found = names.find((name) => name === text);
    if (found !== undefined) return found;
    throw new InvalidArgumentError(`It can be ${names.join(', ')}.`);
  };
}
