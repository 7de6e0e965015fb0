/** A `service.ts` on a node, as it is seen from the host. */
import { inTime, type GuestNode, type GuestProcess } from '../vm/index.js';

/** Who makes a service's calls into the kernel. */
export type Submit = 'thread' | 'keeper';

export class GuestService {
  readonly node: number;
  readonly #guest: GuestNode;
  readonly #process: GuestProcess;
  readonly #lines: AsyncIterator<string>;

  private constructor(guest: GuestNode, group: string, submit: Submit) {
    this.node = guest.id;
    this.#guest = guest;
    this.#process = guest.spawn(`exec node dist/scripts/kills/service.js ${group} ${submit}`);
    this.#lines = this.#process.lines;
  }

  /** Starts one. Resolves when it has opened the lockspace. */
  static async start(guest: GuestNode, group: string, submit: Submit): Promise<GuestService> {
    const service = new GuestService(guest, group, submit);
    const line = await service.hear();
    if (line !== 'ready') throw new Error(`the service on node ${guest.id} says ${line}`);
    return service;
  }

  say(line: string): void {
    this.#process.stdin.write(`${line}\n`);
  }

  /** The next line that it says. Rejects when it has ended. */
  async hear(): Promise<string> {
    const next = await inTime(this.#guest, 'a service says nothing', this.#lines.next());
    if (next.done !== true) return next.value;
    throw new Error(`the service on node ${this.node} ended: ${this.#process.stderrText}`);
  }

  ask(line: string): Promise<string> {
    this.say(line);
    return this.hear();
  }

  /** Sends it a signal, and to nobody else: its keeper is another process. */
  kill(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  /** What it had still said, of one that has been killed, be it with its node. */
  async rest(): Promise<string[]> {
    const lines: string[] = [];
    for (;;) {
      const next = await inTime(this.#guest, 'a service does not end', this.#lines.next());
      if (next.done === true) return lines;
      lines.push(next.value);
    }
  }

  /** Has it end in good order. */
  async end(): Promise<void> {
    this.#process.stdin.end();
    const code = await inTime(this.#guest, 'a service does not end', this.#process.exit);
    if (code === 0) return;
    throw new Error(`the service on node ${this.node} ended: ${this.#process.stderrText}`);
  }
}
