/** A program of the benchmarks that runs on the host: lines go in, lines come out. */
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Writable } from 'node:stream';

import { PROJECT_ROOT } from '../vm/paths.js';

/** As a `GuestProcess` is, for what runs in the project's folder on the host. */
export class HostProgram {
  readonly #process: ChildProcessWithoutNullStreams;
  #said = '';
  readonly stdin: Writable;
  /** Standard output. */
  readonly lines: AsyncIterableIterator<string>;
  /** Resolves to the exit code, or null after a signal, once all output has been received. */
  readonly exit: Promise<number | null>;

  /** Starts it. Rejections of `exit` say that it could not be started. */
  constructor(command: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env) {
    this.#process = spawn(command, args, { cwd: PROJECT_ROOT, env });
    this.#process.stderr.setEncoding('utf8').on('data', (text: string) => (this.#said += text));
    this.stdin = this.#process.stdin.on('error', () => {
      // It has ended, as its lines do then.
    });
    this.lines = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]();
    this.exit = new Promise((resolve, reject) => {
      this.#process.on('error', reject).on('close', resolve);
    });
    this.exit.catch(() => {
      // Whoever waits for it hears of it.
    });
  }

  /** What it has written to standard error so far. */
  get stderrText(): string {
    return this.#said;
  }

  /** Ends a program that does not end by itself when its input has. */
  interrupt(): void {
    this.#process.kill('SIGINT');
  }
}
