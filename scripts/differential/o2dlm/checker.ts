/**
 * Whether what a real cluster did is something that the emulation can do: some run of it with the same
 * commands, in one of the orders that the real system was free to take, sees at every step what was seen
 * on the cluster. Files have nothing to do with each other, so each is looked at by itself.
 *
 * The looking is done by a program of its own (checker/), which has the engine in it.
 */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

import { commandOf, linesOf, type NodeNumber, type Step } from './commands.js';
import { CHECKER } from './programs.js';

/**
 * What an open ends with when o2dlm finds that its own idea of a lock and dlmfs's have come apart
 * (`dlmconvert_remote()`: DLM_DENIED): a file is looked at up to there. README.md tells of it.
 */
const EACCES = 13;

/** As many runs of the emulation for one file and each guess before it is left undecided. */
const MAX_RUNS = 100_000;

/** Where no run goes on as the cluster did. */
export interface Disagreement {
  readonly step: number;
  readonly file: number;
  readonly kernel: string;
  /** What the runs that agreed up to this step see instead, each once. */
  readonly engine: readonly string[];
}

/** What a check has found. */
export interface Verdict {
  /** `undecided`: no run agreed, and there were more than it was allowed to try. */
  readonly outcome: 'agrees' | 'disagrees' | 'undecided';
  /** Unless they agree: how far the runs came that came furthest. */
  readonly disagreement?: Disagreement | undefined;
  /** How many runs it took. */
  readonly runs: number;
  /** How many files were looked at only up to an open that failed with EACCES. */
  readonly cut: number;
}

/** What can be checked. */
export interface Checkable {
  readonly nodes: readonly NodeNumber[];
  readonly files: number;
  readonly steps: readonly Step[];
}

/** Checks sequences; `maxRuns` is for each of their files and each guess. */
export async function check(
  sequences: readonly Checkable[],
  maxRuns = MAX_RUNS,
): Promise<Verdict[]> {
  const answers = await ask(sequences.map((sequence) => questionsOf(sequence, maxRuns)).flat());
  let next = 0;
  return sequences.map((sequence) => {
    const { files, steps } = sequence;
    const mine = answers.slice(next, (next += files));
    const cut = mine.filter((_, file) => stepsOf(sequence, file).length < steps.length).length;
    const runs = mine.reduce((sum, answer) => sum + answer.runs, 0);
    const worst =
      mine.find(({ outcome }) => outcome === 'disagrees') ??
      mine.find(({ outcome }) => outcome === 'undecided');
    if (worst === undefined) return { outcome: 'agrees', runs, cut };
    const { outcome, step, alternatives } = worst;
    const file = mine.indexOf(worst);
    const seen = steps[step]?.seen;
    const kernel = seen === undefined ? '' : linesOf(seen, file);
    return { outcome, disagreement: { step, file, kernel, engine: alternatives }, runs, cut };
  });
}

/** What the emulation does with the commands when chance decides: one file's lines, step by step. */
export async function play(
  seed: number,
  nodes: readonly NodeNumber[],
  steps: readonly Step['commands'][],
): Promise<string[]> {
  const lines = [`play ${seed} ${nodes.join(' ')}`];
  for (const [number, commands] of steps.entries()) {
    lines.push(`step ${number}`, ...commands.map(commandOf));
  }
  const seen: string[][] = [];
  await converse([...lines, 'end'], (line) => {
    if (line.startsWith('step ')) seen.push([]);
    else if (line.startsWith('seen ')) seen.at(-1)?.push(line.slice('seen '.length));
  });
  return seen.map((each) => each.join('\n'));
}

/** The steps at which a file is looked at. */
function stepsOf({ steps }: Checkable, file: number): readonly Step[] {
  const end = steps.findIndex(({ seen }) =>
    [...seen.handles.values()].some((state) => state.file === file && state.result === EACCES),
  );
  return end < 0 ? steps : steps.slice(0, end);
}

/** One file's part of a sequence, without the steps in which nothing became of it. */
function questionsOf(sequence: Checkable, maxRuns: number): string[][] {
  return Array.from({ length: sequence.files }, (_, file) => {
    const lines = [`check ${maxRuns} ${sequence.nodes.join(' ')}`];
    let before = '';
    for (const [number, step] of stepsOf(sequence, file).entries()) {
      const commands = step.commands.filter(
        (command) => command.kind === 'kill' || command.file === file,
      );
      const seen = linesOf(step.seen, file);
      if (commands.length === 0 && seen === before) continue;
      before = seen;
      lines.push(`step ${number}`, ...commands.map(commandOf));
      if (seen !== '') lines.push(...seen.split('\n').map((line) => `seen ${line}`));
    }
    return [...lines, 'end'];
  });
}

interface Answer {
  readonly outcome: Verdict['outcome'];
  readonly runs: number;
  readonly step: number;
  readonly alternatives: string[];
}

async function ask(questions: readonly string[][]): Promise<Answer[]> {
  const answers: Answer[] = [];
  let alternative: string[] = [];
  const endAlternative = (): void => {
    if (alternative.length > 0) answers.at(-1)?.alternatives.push(alternative.join('\n'));
    alternative = [];
  };
  await converse(questions.flat(), (line) => {
    const [verb = '', runs = '0', step = '0'] = line.split(' ');
    if (verb === 'agrees' || verb === 'disagrees' || verb === 'undecided') {
      answers.push({ outcome: verb, runs: Number(runs), step: Number(step), alternatives: [] });
    } else if (verb === 'seen') {
      alternative.push(line.slice('seen '.length));
    } else {
      endAlternative();
    }
  });
  if (answers.length === questions.length) return answers;
  throw new Error(`the checker gave ${answers.length} answers to ${questions.length} questions`);
}

/** Runs the checker on these lines; rejects with what it complained of unless it ended well. */
async function converse(lines: readonly string[], onLine: (line: string) => void): Promise<void> {
  const checker = spawn(CHECKER, { stdio: ['pipe', 'pipe', 'pipe'] });
  let complaint = '';
  checker.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint += text;
  });
  const ended = new Promise<void>((resolve, reject) => {
    checker.once('error', reject);
    checker.once('close', (code, signal) => {
      if (code === 0) resolve();
      else reject(new Error(`the checker ended with ${signal ?? code}: ${complaint}`));
    });
  });
  // If it ends early its exit tells why.
  checker.stdin.on('error', () => undefined);
  checker.stdin.end(`${lines.join('\n')}\n`);
  createInterface({ input: checker.stdout }).on('line', onLine);
  await ended;
}
