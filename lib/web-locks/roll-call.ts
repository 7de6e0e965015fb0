/**
 * How `query()` learns of other programs' requests: the roll is called, and each answers, in value blocks of names that
 * it takes for that. README.md has the protocol.
 */
import type { Lock, Lockspace } from '../locks/index.js';
import { ownName } from './names.js';
import { giveUp } from './steal.js';
import type { WebLockInfo, WebLockManagerSnapshot } from './types.js';

type Snapshot = Required<WebLockManagerSnapshot>;

/** `PR` by all who can answer, `EX` by who calls. */
const ROLL = ownName('roll');
/** `EX` while somebody calls. */
const TURN = ownName('turn');
/** In its block: the call's number, and how many have answered. */
const LIST = ownName('list');

/** Of the number of a call, bytes. */
const CALL_LENGTH = 6;
/** Of a length, or of a count: an unsigned number of 32 bits. */
const COUNT_LENGTH = 4;

/** A conversion on `o2cb` has to have a limit. Nobody is in the way of these. */
const UNLIMITED = { signal: new AbortController().signal };

export class RollCall {
  readonly #ls: Lockspace;
  readonly #clientId: string;
  readonly #snapshot: () => Promise<Snapshot>;
  #isAttended = false;
  #isCalling = false;

  /** `snapshot`: what there is here, when it is asked for. */
  constructor(ls: Lockspace, clientId: string, snapshot: () => Promise<Snapshot>) {
    this.#ls = ls;
    this.#clientId = clientId;
    this.#snapshot = snapshot;
  }

  /** Answers, from now on, when others call. */
  attend(): void {
    if (this.#isAttended) return;
    this.#isAttended = true;
    // It ends with the lockspace.
    this.#attend().catch(() => undefined);
  }

  /** What there is in the whole cluster. */
  async call(): Promise<Snapshot> {
    const turn = await this.#ls.lock(TURN, 'EX');
    try {
      for (;;) {
        const answers = await this.#callOnce();
        if (answers !== undefined) return await this.#together(answers);
      }
    } finally {
      this.#isCalling = false;
      giveUp(turn);
    }
  }

  async #attend(): Promise<void> {
    let place = await this.#ls.lock(ROLL, 'PR');
    for (;;) {
      await new Promise<void>((resolve) => {
        place.onBlocked = () => resolve();
      });
      const pages = this.#isCalling ? [] : await this.#answer();
      await place.release();
      // Granted when who has called has read.
      place = await this.#ls.lock(ROLL, 'PR');
      for (const page of pages) giveUp(page);
    }
  }

  /** Writes what there is here, where whoever calls finds it. Whatever fails, the call goes on. */
  async #answer(): Promise<Lock[]> {
    const pages: Lock[] = [];
    try {
      const text = JSON.stringify([this.#clientId, await this.#snapshot()]);
      const bytes = Buffer.from(text);
      const length = Buffer.alloc(COUNT_LENGTH);
      length.writeUInt32LE(bytes.length);
      const whole = Buffer.concat([length, bytes]);
      const place = await this.#enterList();
      if (place === undefined) return pages;
      const first = await this.#write(pages, ownName(place, 0), whole, 0);
      const rest: Promise<number>[] = [];
      for (let at = first, page = 1; at < whole.length; at += first, page += 1) {
        rest.push(this.#write(pages, ownName(place, page), whole, at));
      }
      await Promise.all(rest);
    } catch {
      // What is not there is not read.
    }
    return pages;
  }

  /** Returns where to answer: the call's number, and ours in it. */
  async #enterList(): Promise<string | undefined> {
    const list = await this.#ls.lock(LIST, 'EX', { value: true });
    try {
      // Who has called is gone.
      if (list.valueState !== 'fresh') return undefined;
      const { value } = list;
      const count = value.readUInt32LE(CALL_LENGTH);
      value.writeUInt32LE(count + 1, CALL_LENGTH);
      return placeOf(value, count);
    } finally {
      await list.release();
    }
  }

  /** Writes a page, which stays for as long as it is locked. Returns how long it is. */
  async #write(pages: Lock[], name: string, bytes: Buffer, at: number): Promise<number> {
    const page = await this.#ls.lock(name, 'EX', { value: true });
    pages.push(page);
    const { length } = page.value;
    page.value = bytes.subarray(at, at + length);
    await page.convert('PR');
    return length;
  }

  /** Undefined if somebody has died over the list. */
  async #callOnce(): Promise<Snapshot[] | undefined> {
    const { clock } = this.#ls;
    const list = await this.#ls.lock(LIST, 'EX', { value: true });
    try {
      const call = randomBytes(clock, CALL_LENGTH);
      list.value = call;
      // Not in the way, and the value stays.
      await list.convert('NL');
      this.#isCalling = true;
      // Granted when all have answered, and so given up their places; or are gone.
      const roll = await this.#ls.lock(ROLL, 'EX');
      this.#isCalling = false;
      try {
        await list.convert('PR', UNLIMITED);
        if (list.valueState !== 'fresh') return undefined;
        const { value } = list;
        const count = value.readUInt32LE(CALL_LENGTH);
        const places = Array.from({ length: count }, (_, index) => placeOf(value, index));
        const answers = await Promise.all(places.map((place) => this.#readAnswer(place)));
        return answers.filter((answer) => answer !== undefined);
      } finally {
        giveUp(roll);
      }
    } finally {
      giveUp(list);
    }
  }

  /** Undefined if who has written it is gone, or is this one. */
  async #readAnswer(place: string): Promise<Snapshot | undefined> {
    const first = await this.#read(ownName(place, 0));
    if (first === undefined) return undefined;
    const length = COUNT_LENGTH + first.readUInt32LE();
    const count = Math.ceil(length / first.length);
    const rest = await Promise.all(
      Array.from({ length: count - 1 }, (_, index) => this.#read(ownName(place, index + 1))),
    );
    const pages = [first, ...rest].filter((page) => page !== undefined);
    if (pages.length < count) return undefined;
    const text = Buffer.concat(pages).subarray(COUNT_LENGTH, length).toString();
    const [clientId, snapshot] = JSON.parse(text) as [string, Snapshot];
    return clientId === this.#clientId ? undefined : snapshot;
  }

  async #read(name: string): Promise<Buffer | undefined> {
    const page = await this.#ls.lock(name, 'PR', { value: true });
    const bytes = page.valueState === 'fresh' ? Buffer.from(page.value) : undefined;
    giveUp(page);
    return bytes;
  }

  async #together(answers: readonly Snapshot[]): Promise<Snapshot> {
    const own = await this.#snapshot();
    const all = [own, ...answers];
    const held: WebLockInfo[] = all.flatMap((snapshot) => snapshot.held);
    return { held, pending: all.flatMap((snapshot) => snapshot.pending) };
  }
}

function placeOf(value: Buffer, count: number): string {
  return `${value.toString('hex', 0, CALL_LENGTH)}/${count}`;
}

/** From the stack's own chance, so that a simulation repeats itself. */
export function randomBytes(clock: Lockspace['clock'], length: number): Buffer {
  return Buffer.from(Array.from({ length }, () => Math.floor(clock.random() * 256)));
}
