/** The journal of a fake machine: what has happened to a lockspace so far, each thing before it can be seen. */
import { closeSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';

export class Journal {
  readonly #fd: number;
  readonly #buffer = Buffer.alloc(64 * 1024);
  #rest = '';

  /** Of the machine in that folder; it has been told to begin one. */
  constructor(folder: string) {
    this.#fd = openSync(join(folder, 'run/journal'), 'r');
  }

  /** The lines since the last call. */
  read(): string[] {
    const lines: string[] = [];
    for (;;) {
      const size = readSync(this.#fd, this.#buffer);
      if (size === 0) return lines;
      const parts = (this.#rest + this.#buffer.toString('latin1', 0, size)).split('\n');
      this.#rest = parts.pop() ?? '';
      lines.push(...parts);
    }
  }

  close(): void {
    closeSync(this.#fd);
  }
}
