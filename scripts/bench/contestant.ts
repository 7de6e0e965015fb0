/** The programs that are measured, in a guest or on the host: they obey lines. */
import { LineProgram, type SpokenProcess } from '../line-program.js';
import { compile } from './compile.js';

/** Where programs run: a node of a cluster, or the host. Commands are the shell's. */
export interface Place {
  spawn(command: string): SpokenProcess;
}

/** Who makes the calls into the kernel: the option `submit` of stack `user`. */
export const MODES = ['thread', 'loop', 'keeper'] as const;
export type Mode = (typeof MODES)[number];

/** What a process takes, in bytes: all of it, and V8's heap. */
export interface Memory {
  readonly rss: number;
  readonly heap: number;
}

/** What is measured: locks and unlocks, or conversions between NL and EX. */
export type Work = 'lock' | 'convert';

/** In rows' names. */
export const WORK_NAMES: Record<Work, string> = { lock: 'lock+unlock', convert: 'NL<->EX' };

/** What was done in a turn, and how long it took. */
export interface Turn {
  readonly operations: number;
  readonly seconds: number;
}

const REFERENCE = 'build/bench/reference';
const JAVASCRIPT = 'dist/scripts/bench/javascript.js';
const PROMISES = 'dist/scripts/bench/promises.js';

/** Compiles the C program. Do it before the guests boot: they remember what they have read. */
export function buildReference(): void {
  compile('reference.c', 'reference', ['-ldlm_lt']);
}

/** A program that has joined a lockspace and does one thing at a time. */
export class Talker {
  readonly #program: LineProgram;

  private constructor(process: SpokenProcess) {
    this.#program = new LineProgram(process, 'A program');
  }

  /** Starts the program that is said to, and resolves when it is ready. */
  static async start(place: Place, command: string): Promise<Talker> {
    const talker = new Talker(place.spawn(command));
    await talker.#program.hear();
    return talker;
  }

  /** What it answers to the line. */
  async ask(line: string): Promise<unknown> {
    return JSON.parse(await this.#program.ask(line));
  }

  /** Leaves the lockspace, which drops what is held, and ends. */
  end(): Promise<void> {
    return this.#program.end();
  }
}

/** One that works as fast as it can. */
export class Contestant {
  readonly #talker: Talker;

  private constructor(talker: Talker) {
    this.#talker = talker;
  }

  /** The C program; it asks for the next lock from its own loop, or from inside the callback. */
  static c(
    place: Place,
    lockspace: string,
    asks: 'loop' | 'callback' = 'loop',
  ): Promise<Contestant> {
    return Contestant.#start(place, `exec ./${REFERENCE} ${lockspace} ${asks}`);
  }

  /** The JavaScript program. A `submit` that this build of the product does not know is ignored. */
  static javascript(place: Place, lockspace: string, submit: Mode): Promise<Contestant> {
    return Contestant.#node(place, JAVASCRIPT, lockspace, submit);
  }

  /** The one with promises, which does `lock` and has no `hold` and no `memory`. */
  static promises(place: Place, lockspace: string, submit: Mode): Promise<Contestant> {
    return Contestant.#node(place, PROMISES, lockspace, submit);
  }

  static #node(
    place: Place,
    program: string,
    lockspace: string,
    submit: Mode,
  ): Promise<Contestant> {
    const options = JSON.stringify({ submit });
    const command = `exec node --expose-gc ${program} ${lockspace} '${options}'`;
    return Contestant.#start(place, command);
  }

  static async #start(place: Place, command: string): Promise<Contestant> {
    return new Contestant(await Talker.start(place, command));
  }

  /** Does the work for so many seconds, or a little more. */
  async turn(work: Work, prefix: string, depth: number, seconds: number): Promise<Turn> {
    return (await this.#talker.ask(`run ${work} ${prefix} ${depth} ${seconds}`)) as Turn;
  }

  /** The same; resolves to operations per second. */
  async rate(work: Work, prefix: string, depth: number, seconds: number): Promise<number> {
    const done = await this.turn(work, prefix, depth, seconds);
    return done.operations / done.seconds;
  }

  /** Does the work so often, and for what was under way then; resolves to how often. */
  async perform(work: Work, prefix: string, depth: number, operations: number): Promise<number> {
    const done = (await this.#talker.ask(`do ${work} ${prefix} ${depth} ${operations}`)) as Turn;
    return done.operations;
  }

  /** Takes locks until it holds so many, and keeps them. */
  async hold(prefix: string, count: number): Promise<void> {
    await this.#talker.ask(`hold ${prefix} ${count}`);
  }

  /** The JavaScript program's memory after a collection. */
  async memory(): Promise<Memory> {
    return (await this.#talker.ask('memory')) as Memory;
  }

  /** Leaves the lockspace, which drops what is held, and ends. */
  end(): Promise<void> {
    return this.#talker.end();
  }
}
