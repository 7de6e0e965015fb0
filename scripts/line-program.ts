/** A program that answers lines of its input with lines of its output, in order. */
import type { Writable } from 'node:stream';

/** Where such a program runs: on the host, or in a guest. */
export interface SpokenProcess {
  readonly stdin: Writable;
  /** Its standard output; one reader. */
  readonly lines: AsyncIterableIterator<string>;
  readonly stderrText: string;
  /** Its exit code, or null after a signal. */
  readonly exit: Promise<number | null>;
}

/** One that is spoken with. Each answer is waited for before the next is. */
export class LineProgram {
  readonly #process: SpokenProcess;
  readonly #name: string;
  readonly #lines: AsyncIterator<string>;

  /** `name`: for errors. */
  constructor(process: SpokenProcess, name: string) {
    this.#process = process;
    this.#name = name;
    this.#lines = process.lines; // to be asked for once
  }

  /** Writes lines, each with its end. */
  say(lines: string): void {
    this.#process.stdin.write(lines);
  }

  /** The next line that it says. Rejects, with what it has written to standard error, when it has ended. */
  async hear(): Promise<string> {
    const next = await this.#lines.next();
    if (next.done === true) throw new Error(`${this.#name} ended: ${this.#process.stderrText}`);
    return next.value;
  }

  /** What it answers to the line. */
  async ask(line: string): Promise<string> {
    this.say(`${line}\n`);
    return this.hear();
  }

  /** Lets it end, and waits for that. Rejects if it does not end well. */
  async end(): Promise<void> {
    this.#process.stdin.end();
    const code = await this.#process.exit;
    if (code === 0) return;
    throw new Error(`${this.#name} ended with code ${String(code)}: ${this.#process.stderrText}`);
  }
}
