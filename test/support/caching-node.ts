/** A `caching-service.ts` on a node, as it is seen from the host, and the store that is behind its value. */
import { TokenStore } from '../../scripts/examples/token-store.js';
import { inTime, type GuestNode, type GuestProcess } from '../../scripts/vm/index.js';

/** Where the value of all nodes lies. */
export class CounterStore {
  readonly #store = new TokenStore();
  /** What was stored last. */
  value = 0;

  store(value: number, token: bigint): void {
    this.#store.write('counter', token, String(value));
    this.value = value;
  }
}

export class CachingNode {
  readonly #node: GuestNode;
  readonly #process: GuestProcess;
  readonly #store: CounterStore;
  readonly #answers = new Map<number, (answer: string) => void>();
  readonly #failures = new Set<(error: Error) => void>();
  #asked = 0;
  #ready: () => void = () => undefined;
  /** Called with what is to be stored, before it is. False: it gets lost on its way, and is not answered. */
  beforeStore: ((value: number) => boolean) | undefined;

  private constructor(node: GuestNode, group: string, store: CounterStore) {
    this.#node = node;
    this.#store = store;
    // V8 is to have no reason to collect garbage while system calls are counted.
    const program = 'node --min-semi-space-size=64 --max-semi-space-size=64';
    this.#process = node.spawn(`exec ${program} dist/test/guest/caching-service.js ${group}`);
  }

  /** Starts one. Resolves when it has opened the lockspace. */
  static async start(node: GuestNode, group: string, store: CounterStore): Promise<CachingNode> {
    const caching = new CachingNode(node, group, store);
    await caching.#waitFor(
      'it is not ready',
      (resolve) => (caching.#ready = () => resolve('')),
      () => void caching.#listen(),
    );
    return caching;
  }

  /** What it answers to a command. */
  ask(command: string): Promise<string> {
    const number = (this.#asked += 1);
    return this.#waitFor(
      `no answer to "${command}"`,
      (resolve) => this.#answers.set(number, resolve),
      () => this.#say(`${number} ${command}`),
    );
  }

  /** Has it end in good order. */
  async end(): Promise<void> {
    this.#process.stdin.end();
    const code = await inTime(this.#node, 'it does not end', this.#process.exit);
    if (code !== 0) throw new Error(`it ended with ${code}: ${this.#process.stderrText}`);
  }

  #say(line: string): void {
    this.#process.stdin.write(`${line}\n`);
  }

  async #waitFor(
    what: string,
    register: (resolve: (text: string) => void) => void,
    begin: () => void,
  ): Promise<string> {
    let fail: (error: Error) => void = () => undefined;
    const answer = new Promise<string>((resolve, reject) => {
      register(resolve);
      this.#failures.add((fail = reject));
    });
    begin();
    try {
      return await inTime(this.#node, what, answer);
    } finally {
      this.#failures.delete(fail);
    }
  }

  async #listen(): Promise<void> {
    for await (const line of this.#process.lines) this.#take(line);
    const error = new Error(
      `node ${this.#node.id}: the program ended: ${this.#process.stderrText}`,
    );
    for (const fail of this.#failures) fail(error);
  }

  #take(line: string): void {
    const [first = '', second = '', token = ''] = line.split(' ');
    if (first === 'ready') this.#ready();
    else if (first === 'load') this.#say(`loaded ${this.#store.value}`);
    else if (first === 'store') {
      if (this.beforeStore?.(Number(second)) === false) return;
      this.#store.store(Number(second), BigInt(token));
      this.#say('stored');
    } else {
      const answer = this.#answers.get(Number(first));
      this.#answers.delete(Number(first));
      answer?.(line.slice(first.length + 1));
    }
  }
}
