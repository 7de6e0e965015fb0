/** What has been granted and written so far, as the host saw it, and what must hold of all that comes after. */

/** What was seen of values, by how far they were to be trusted. */
export type Seen = Record<'fresh' | 'invalid' | 'unwritten', number>;

/** A write: its token, and which it was under that, as the services put them into values. */
const WRITTEN = /^(\d+)\.(\d+)$/;

interface Entry {
  /** The highest token so far. */
  token: bigint;
  /** What the last write was that is known to be complete. */
  text: string | undefined;
  /** Who was killed may have written since, and nobody heard. */
  isUnsure: boolean;
}

export class Ledger {
  readonly #entries = new Map<string, Entry>();
  readonly #seen: Seen = { fresh: 0, invalid: 0, unwritten: 0 };
  #grants = 0;

  /** How many grants it has judged. */
  get grants(): number {
    return this.#grants;
  }

  /** How many values. */
  get seen(): Seen {
    return this.#seen;
  }

  /**
   * Takes down what a service said, in the order of what it tells of. Throws if that cannot be.
   *
   * `NAME TOKEN STATE TEXT`: a grant, and what was read with it; `wrote NAME TEXT`; all else tells of nothing.
   */
  hear(line: string): void {
    if (line.startsWith('ERR_')) throw new Error(`a service was told ${line}`);
    const words = line.split(' ');
    if (words[0] === 'wrote') this.#wrote(words[1] ?? '', words[2] ?? '');
    const [name = '', token = '', state = '', text = ''] = words;
    if (words.length < 3 || words[0] === 'wrote') return;
    if (token !== '-') this.#granted(name, BigInt(token));
    this.#read(name, state, text);
  }

  /** Somebody was killed who had been told to write this, and may have done so after all that was heard. */
  mayBeWritten(name: string): void {
    this.#entry(name).isUnsure = true;
  }

  #entry(name: string): Entry {
    const entry = this.#entries.get(name) ?? { token: 0n, text: undefined, isUnsure: false };
    this.#entries.set(name, entry);
    return entry;
  }

  #granted(name: string, token: bigint): void {
    const entry = this.#entry(name);
    this.#grants += 1;
    if (token <= entry.token) {
      throw new Error(`${name}: token ${token} was given after ${entry.token}`);
    }
    if (token >= 2n ** 63n) throw new Error(`${name}: token ${token} has more than 63 bits`);
    entry.token = token;
  }

  #wrote(name: string, text: string): void {
    const entry = this.#entry(name);
    entry.text = text;
    entry.isUnsure = false;
  }

  #read(name: string, state: string, text: string): void {
    const entry = this.#entry(name);
    if (!Object.hasOwn(this.#seen, state)) throw new Error(`${name}: a value is called ${state}`);
    this.#seen[state as keyof Seen] += 1;
    if (state === 'fresh' && text !== entry.text && !this.#isLaterWrite(entry, text)) {
      throw new Error(`${name}: "${text}" is called fresh; last written was "${entry.text ?? ''}"`);
    }
    // What is read now is so, until somebody writes: of a lost value there is nothing that could be fresh.
    entry.text = state === 'fresh' ? text : undefined;
    entry.isUnsure = false;
  }

  /** Whether it may be a write that was not heard of, of somebody who was killed. */
  #isLaterWrite({ isUnsure, text: known }: Entry, text: string): boolean {
    return isUnsure && rankOf(text) > rankOf(known ?? '');
  }
}

/** Writes in their order; 0 for what is none. */
function rankOf(text: string): bigint {
  const [, token = '0', count = '0'] = WRITTEN.exec(text) ?? [];
  return BigInt(token) * 1000n + BigInt(count);
}
