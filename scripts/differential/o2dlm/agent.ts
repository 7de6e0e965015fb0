/** The program on a node that uses dlmfs (guest/dlmfs-agent.c), from the host. */
import { LineProgram } from '../../line-program.js';
import { inTime, type GuestNode } from '../../vm/index.js';
import { AGENT } from './programs.js';

/** What a node says after a fence: only what has changed since the last one. */
export interface Report {
  /** The errno of opens that have ended, or 0. */
  readonly ended: readonly (readonly [handle: number, errno: number])[];
  readonly states: readonly (readonly [handle: number, blocked: boolean, block: string])[];
  readonly unlinks: readonly (readonly [tag: number, errno: number])[];
  /** How many messages of o2net the node has sent and handled. */
  readonly messages: string;
}

/** See the top of this file. */
export class Agent {
  readonly #node: GuestNode;
  readonly #program: LineProgram;
  /** Never resolves. Opens that wait in the kernel keep a program that has failed from ending. */
  readonly #failure: Promise<never>;
  #unsent = '';

  constructor(node: GuestNode, folder: string) {
    this.#node = node;
    const process = node.spawn(`exec ${AGENT} ${folder}`);
    this.#program = new LineProgram(process, `dlmfs-agent on node ${node.id}`);
    this.#failure = new Promise((_resolve, reject) => {
      process.stderr.once('data', (words: Buffer) => {
        reject(new Error(`Node ${node.id}: ${words.toString()}`));
      });
    });
    this.#failure.catch(() => undefined);
  }

  /** Gives a command; it goes out with the next fence. */
  command(line: string): void {
    this.#unsent += `${line}\n`;
  }

  /** Waits until the node has come to rest. */
  async fence(): Promise<Report> {
    this.#program.say(`${this.#unsent}f\n`);
    this.#unsent = '';
    const report = Promise.race([this.#report(), this.#failure]);
    return inTime(this.#node, 'dlmfs has not come to rest', report);
  }

  async #report(): Promise<Report> {
    const ended: [number, number][] = [];
    const states: [number, boolean, string][] = [];
    const unlinks: [number, number][] = [];
    for (;;) {
      const line = await this.#program.hear();
      const [verb, first = '', second = '', third = ''] = line.split(' ');
      if (verb === 'd') ended.push([Number(first), Number(second)]);
      else if (verb === 's') states.push([Number(first), second === '1', third]);
      else if (verb === 'u') unlinks.push([Number(first), Number(second)]);
      else return { ended, states, unlinks, messages: first };
    }
  }
}
