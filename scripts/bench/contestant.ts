/** The programs that are measured, as seen from the host: they run in a guest and obey lines. */
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

import type { GuestProcess, Node } from '../vm/index.js';
import { PROJECT_ROOT } from '../vm/paths.js';

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

const REFERENCE = 'build/bench/reference';
const JAVASCRIPT = 'dist/scripts/bench/javascript.js';

/** Compiles the C program. Do it before the guests boot: they remember what they have read. */
export function buildReference(): void {
  mkdirSync(join(PROJECT_ROOT, 'build/bench'), { recursive: true });
  const flags = ['-std=gnu11', '-Wall', '-Wextra', '-Werror', '-O2', '-o', REFERENCE];
  execFileSync('gcc', [...flags, 'scripts/bench/reference.c', '-ldlm_lt'], {
    cwd: PROJECT_ROOT,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
}

/** A program that has joined a lockspace and does one thing at a time. */
export class Contestant {
  readonly #process: GuestProcess;
  readonly #lines: AsyncIterableIterator<string>;

  private constructor(process: GuestProcess) {
    this.#process = process;
    this.#lines = process.lines;
  }

  /** The C program; it asks for the next lock from its own loop, or from inside the callback. */
  static c(node: Node, lockspace: string, asks: 'loop' | 'callback' = 'loop'): Promise<Contestant> {
    return Contestant.#start(node, `exec ./${REFERENCE} ${lockspace} ${asks}`);
  }

  /** The JavaScript program. A `submit` that this build of the product does not know is ignored. */
  static javascript(node: Node, lockspace: string, submit: Mode): Promise<Contestant> {
    const options = JSON.stringify({ submit });
    const command = `exec node --expose-gc ${JAVASCRIPT} ${lockspace} '${options}'`;
    return Contestant.#start(node, command);
  }

  static async #start(node: Node, command: string): Promise<Contestant> {
    const contestant = new Contestant(node.spawn(command));
    await contestant.#answer();
    return contestant;
  }

  /** Does the work for so many seconds; resolves to operations per second. */
  async rate(work: Work, prefix: string, depth: number, seconds: number): Promise<number> {
    const answer = await this.#ask(`run ${work} ${prefix} ${depth} ${seconds}`);
    const done = answer as { operations: number; seconds: number };
    return done.operations / done.seconds;
  }

  /** Takes locks until it holds so many, and keeps them. */
  async hold(prefix: string, count: number): Promise<void> {
    await this.#ask(`hold ${prefix} ${count}`);
  }

  /** The JavaScript program's memory after a collection. */
  async memory(): Promise<Memory> {
    return (await this.#ask('memory')) as Memory;
  }

  /** Leaves the lockspace, which drops what is held, and ends. */
  async end(): Promise<void> {
    this.#process.stdin.end();
    const code = await this.#process.exit;
    if (code !== 0) throw new Error(`A program ended with code ${code}: ${this.#said()}`);
  }

  async #ask(line: string): Promise<unknown> {
    this.#process.stdin.write(`${line}\n`);
    return this.#answer();
  }

  async #answer(): Promise<unknown> {
    const next = await this.#lines.next();
    if (next.done === true) throw new Error(`A program ended: ${this.#said()}`);
    return JSON.parse(next.value);
  }

  #said(): string {
    return this.#process.stderrText;
  }
}
