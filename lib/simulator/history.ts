/**
 * A history as text: a first line that says how the simulation was made, and a line for each thing
 * that happened. native/simulator/history.h has the format.
 */
import { checkString } from '../errors.js';
import { simulationRefusal } from './errors.js';

/** Whose rules the simulated lock manager has. */
export type Profile = 'o2dlm' | 'fsdlm';

/** `Simulation::Create` of native/simulator/simulation.cc writes it. */
const HEADER =
  /^stackglue simulation 1: profile (o2dlm|fsdlm), seed (\d+), messages take (\d+) to (\d+) us, deaths are found after (\d+) us(?:, recovery takes (\d+) to (\d+) us)?(?:, quorum is lost after (\d+) us)?/;

/** `inspect.custom` of `node:util`. */
const inspectCustom: unique symbol = Symbol.for('nodejs.util.inspect.custom');

/** The choices at the end of a line. */
const CHOICES = / {2}\[[\d ]+\]$/;

/** All that happened in a simulation, in order. It never changes. */
export class History {
  readonly profile: Profile;
  readonly seed: number;
  /** Shortest and longest time that a message takes, microseconds. */
  readonly delayUs: readonly [number, number];
  /** After how long a silent node is found dead, milliseconds. */
  readonly detectMs: number;
  /** How long a death stops a group, shortest and longest, milliseconds. */
  readonly recoveryMs: readonly [number, number];
  /** After how long a node that is cut off knows that it has no quorum, milliseconds; 0: it does not. */
  readonly quorumMs: number;
  /** Every line, the first one included, with the choices that chance made behind it. */
  readonly lines: readonly string[];
  readonly #text: string;

  /**
   * Reads a history back. Throws `ERR_DLM_SIMULATION_HISTORY` when the text is none.
   *
   * @param text what `toString()` returned, of a file or a log.
   */
  constructor(text: string) {
    checkString('text', text);
    const lines = text
      .split('\n')
      .map((line) => line.trimEnd())
      .filter((line) => line !== '');
    const header = HEADER.exec(lines[0] ?? '');
    if (header === null) {
      throw simulationRefusal(
        'ERR_DLM_SIMULATION_HISTORY',
        `This is not the history of a simulation; it begins with "${(lines[0] ?? '').slice(0, 60)}"`,
      );
    }
    const [, profile, seed, min, max, detectUs, recoveryMin, recoveryMax, quorumUs] = header;
    this.profile = profile as Profile;
    this.seed = Number(seed);
    this.delayUs = [Number(min), Number(max)];
    this.detectMs = Number(detectUs) / 1000;
    this.recoveryMs = [Number(recoveryMin ?? 0) / 1000, Number(recoveryMax ?? 0) / 1000];
    this.quorumMs = Number(quorumUs ?? 0) / 1000;
    this.lines = Object.freeze(lines);
    this.#text = lines.map((line) => `${line}\n`).join('');
    Object.freeze(this);
  }

  /** The text, for a file: the same seed and program give the same bytes on any machine. */
  toString(): string {
    return this.#text;
  }

  /** An error that carries a history must still be readable. */
  [inspectCustom](): string {
    return `History { profile: '${this.profile}', seed: ${this.seed}, lines: ${this.lines.length} }`;
  }

  /** The last lines, or all, for people: without the choices that chance made. */
  tail(count = Infinity): string {
    const first = Math.max(0, this.lines.length - count);
    const shown = this.lines.slice(first).map((line) => line.replace(CHOICES, ''));
    return [...(first > 0 ? [`... (${first} lines before)`] : []), ...shown].join('\n');
  }
}
