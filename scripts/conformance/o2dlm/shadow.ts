/**
 * What the lock manager's state for one file is, as far as its future depends on it, from the calls that it
 * was given: states are compared by it. The modes of locks are the files' own (dlmfs.ts), so what is left is
 * the order of those that wait, the value block, and what a death or the end of the resource makes of them.
 */
import type { NodeNumber } from './commands.js';
import type { DlmfsFile } from './dlmfs.js';

/** See the top of this file. */
export class Shadow {
  /** Requests that the lock manager has not completed, oldest first: the order of its queues. */
  #waiting: DlmfsFile[] = [];
  #block = '';
  /** Whoever asked for the resource first is its master. */
  #master: NodeNumber | undefined;
  /** The locks that have seen the block since the last death; the others' is not told in a recovery. */
  readonly #seen = new Set<DlmfsFile>();
  #past = '';

  /** A request was accepted. */
  accepted(node: NodeNumber, file: DlmfsFile): void {
    this.#master ??= node;
    this.#waiting.push(file);
  }

  /** A request is completed: its callback is on its way. */
  completed(file: DlmfsFile): void {
    this.#waiting = this.#waiting.filter((each) => each !== file);
    this.#seen.add(file);
  }

  /** The block has been written. */
  wrote(block: string): void {
    this.#block = block;
  }

  /** The resource has gone. */
  forgotten(): void {
    this.#block = '';
    this.#master = undefined;
  }

  /** A node has died; `state` is what all was before. */
  died(state: string, isOfDeadNode: (file: DlmfsFile) => boolean): void {
    this.#past = state;
    this.#block = 'recovered';
    this.#seen.clear();
    this.#waiting = this.#waiting.filter((file) => !isOfDeadNode(file));
  }

  /** In words, for files that have names. */
  state(nameOf: (file: DlmfsFile) => string): string {
    const waiting = this.#waiting.map(nameOf).join(',');
    const seen = this.#past === '' ? '' : [...this.#seen].map(nameOf).sort().join(',');
    return `${this.#master} ${waiting} "${this.#block}" ${seen} (${this.#past})`;
  }
}
