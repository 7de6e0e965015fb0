/** The host's side of guest/dlm-hands.c: configfs, sysfs and lockspace events of one node. */

import type { GuestProcess } from './agent-client.js';
import { VmError } from './errors.js';
import type { GuestNode } from './guest-node.js';

/** The kernel's announcement that a lockspace is being created or released; it waits. */
export type LockspaceEvent = 'online' | 'offline';

interface Waiting {
  readonly action: string;
  resolve: (text: string | undefined) => void;
  reject: (error: Error) => void;
}

/** Who an answer is for that was not asked for: the end of a node is not always tidy. */
const NOBODY: Waiting = { action: 'nothing', resolve: () => undefined, reject: () => undefined };

/** See the top of this file. */
export class Hands {
  readonly #node: GuestNode;
  readonly #process: GuestProcess;
  readonly #onEvent: (event: LockspaceEvent, lockspace: string) => void;
  /** Actions sent to the guest, answered in their order. */
  readonly #waiting: Waiting[] = [];
  #gone = false;
  #ready: () => void = () => undefined;

  private constructor(
    node: GuestNode,
    onEvent: (event: LockspaceEvent, lockspace: string) => void,
  ) {
    this.#node = node;
    this.#onEvent = onEvent;
    this.#process = node.spawn('exec dlm-hands');
  }

  /**
   * Starts them on a node; from then on no event of its kernel is missed.
   *
   * @throws {VmError} `gone` when they end before they are ready.
   */
  static async start(
    node: GuestNode,
    onEvent: (event: LockspaceEvent, lockspace: string) => void,
  ): Promise<Hands> {
    const hands = new Hands(node, onEvent);
    const ready = new Promise<void>((resolve) => (hands.#ready = resolve));
    const reading = hands.#read();
    await Promise.race([ready, reading.then(() => Promise.reject(hands.#goneError()))]);
    return hands;
  }

  /**
   * Does actions (see guest/dlm-hands.c), all of them and in order.
   *
   * @throws {VmError} `command` when one fails, `gone` when the node has died.
   */
  async perform(actions: readonly string[]): Promise<void> {
    const results = await Promise.allSettled(actions.map((action) => this.#send(action)));
    for (const result of results) if (result.status === 'rejected') throw result.reason;
  }

  /**
   * The first line of a file of the guest, or undefined when there is no such file.
   *
   * @throws {VmError} as {@link perform}.
   */
  read(path: string): Promise<string | undefined> {
    return this.#send(`read ${path}`);
  }

  /** Lets go. The kernel then stops the node's lockspaces, as when dlm_controld dies. */
  close(): void {
    this.#process.disconnect();
  }

  #send(action: string): Promise<string | undefined> {
    if (this.#gone) return Promise.reject(this.#goneError());
    this.#process.stdin.write(`${action}\n`);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ action, resolve, reject });
    });
  }

  async #read(): Promise<void> {
    for await (const line of this.#process.lines) this.#take(line);
    this.#gone = true;
    for (const { reject } of this.#waiting.splice(0)) reject(this.#goneError());
  }

  #take(line: string): void {
    const [word, ...rest] = line.split(' ');
    const text = rest.join(' ');
    if (word === 'ready') {
      this.#ready();
    } else if (word === 'event') {
      const [event, ...lockspace] = rest;
      this.#onEvent(event === 'online' ? 'online' : 'offline', lockspace.join(' '));
    } else {
      const { action, resolve, reject } = this.#waiting.shift() ?? NOBODY;
      const message = `On node ${this.#node.id}, "${action}" failed: ${text}.`;
      if (word === 'error') reject(new VmError('command', message));
      else resolve(word === 'none' ? undefined : text);
    }
  }

  #goneError(): VmError {
    const said = this.#process.stderrText.trim();
    const reason = said ? `: ${said}` : '.';
    return new VmError('gone', `Node ${this.#node.id} no longer answers to the harness${reason}`);
  }
}
