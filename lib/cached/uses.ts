/**
 * When each cached name was used last and granted last, in tables beside the entries: a hold writes one number, whose
 * place does not move, and the oldest are found by looking through the numbers alone.
 */
import { MIN_HOLD } from './min-hold.js';

const FIRST_LENGTH = 64;
/** So many of the oldest are found at a time, at least; and this part of all. */
const FOUND_MIN = 64;
const FOUND_PART = 16;

/** One place for each name; the first one counts all uses. */
export class Uses<Item> {
  /** At each place the number of its last use; 0: none since the grant. At place 0 how many there were. */
  last = new Float64Array(FIRST_LENGTH);
  #granted = new Float64Array(FIRST_LENGTH);
  #minHold = new Uint8Array(FIRST_LENGTH);
  readonly #items: (Item | undefined)[] = [undefined];
  readonly #free: number[] = [];
  /** The oldest ones at some time, the oldest at the end, and what their last uses were then. */
  #oldest: { readonly slot: number; readonly last: number }[] = [];

  /** How many there were. */
  get count(): number {
    return this.last[0] ?? 0;
  }

  /** A place for one more. */
  add(item: Item): number {
    const slot = this.#free.pop() ?? this.#items.length;
    this.#items[slot] = item;
    if (slot >= this.last.length) {
      this.last = grown(this.last, Float64Array);
      this.#granted = grown(this.#granted, Float64Array);
      this.#minHold = grown(this.#minHold, Uint8Array);
    }
    this.last[slot] = 0;
    this.#minHold[slot] = MIN_HOLD.START;
    return slot;
  }

  remove(slot: number): void {
    this.#items[slot] = undefined;
    this.#free.push(slot);
  }

  /** It is used. */
  use(slot: number): void {
    const { last } = this;
    last[slot] = last[0] = (last[0] ?? 0) + 1;
  }

  /** It was granted, and has not been used since. */
  grant(slot: number, now: number): void {
    this.last[slot] = 0;
    this.#granted[slot] = now;
  }

  /** The number of its last use since it was granted; 0: none. */
  lastOf(slot: number): number {
    return this.last[slot] ?? 0;
  }

  /** For how long it is kept at least, as was found to be good; milliseconds. */
  minHoldOf(slot: number): number {
    return this.#minHold[slot] ?? 0;
  }

  adapt(slot: number, change: (ms: number) => number): void {
    this.#minHold[slot] = change(this.minHoldOf(slot));
  }

  grantedAt(slot: number): number {
    return this.#granted[slot] ?? 0;
  }

  /**
   * The oldest first, of those that `isIdle` and were not used after `until`. What it yields must not be idle when it goes
   * on.
   */
  *oldest(isIdle: (item: Item) => boolean, until = Infinity): Generator<Item> {
    while (this.#oldest.length > 0 || this.#find(isIdle, until)) {
      const found = this.#oldest.pop();
      if (found === undefined) continue;
      const { slot, last } = found;
      const item = this.#items[slot];
      // Whoever was used meanwhile is not one of them any more.
      if (item === undefined || this.last[slot] !== last || !isIdle(item)) continue;
      if (last > until) {
        this.#oldest.push(found);
        return;
      }
      yield item;
    }
  }

  /** Looks through all. Returns whether there are some. */
  #find(isIdle: (item: Item) => boolean, until: number): boolean {
    const { last } = this;
    const slots: number[] = [];
    for (const [slot, item] of this.#items.entries()) {
      if (item !== undefined && (last[slot] ?? 0) <= until && isIdle(item)) slots.push(slot);
    }
    const times = Float64Array.from(slots, (slot) => last[slot] ?? 0).sort();
    const wanted = Math.max(FOUND_MIN, Math.ceil(slots.length / FOUND_PART));
    const youngest = times[Math.min(wanted, times.length) - 1] ?? 0;
    this.#oldest = slots
      .filter((slot) => (last[slot] ?? 0) <= youngest)
      .map((slot) => ({ slot, last: last[slot] ?? 0 }))
      .sort((a, b) => b.last - a.last);
    return slots.length > 0;
  }
}

function grown<Table extends Float64Array | Uint8Array>(
  table: Table,
  Type: new (length: number) => Table,
): Table {
  const larger = new Type(table.length * 2);
  larger.set(table);
  return larger;
}
