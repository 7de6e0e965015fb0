/** One measurement in a JavaScript program that has many things under way: its clock and its count. */

/** Operations between two looks at the clock; reference.c has the same. */
const OPERATIONS_PER_LOOK = 16;

/** Does something again and again until `stopping`, and then calls `rest` once. */
export interface Slot {
  start(): void;
}

/** Counts, and knows when it is enough and which slots have not come to rest. */
export class Measurement {
  operations = 0;
  stopping = false;
  readonly #enough: number;
  #inFlight = 0;
  #deadline = 0;
  #allRest: () => void = () => undefined;

  /** @param enough stops after so many operations, if the time has not ended it before. */
  constructor(enough: number) {
    this.#enough = enough;
  }

  /** Starts all slots; resolves to the seconds until the last one has come to rest. */
  async run(slots: readonly Slot[], seconds: number): Promise<number> {
    const start = performance.now();
    this.#deadline = start + seconds * 1000;
    await this.forAll(slots, (slot) => slot.start());
    return (performance.now() - start) / 1000;
  }

  /** Resolves when each slot has come to rest after `request`. */
  forAll<S extends Slot>(slots: readonly S[], request: (slot: S) => void): Promise<void> {
    this.#inFlight = slots.length;
    return new Promise((resolve) => {
      this.#allRest = resolve;
      for (const slot of slots) request(slot);
    });
  }

  countOperation(): void {
    this.operations += 1;
    if (this.operations >= this.#enough) this.stopping = true;
    if (this.operations % OPERATIONS_PER_LOOK === 0 && performance.now() >= this.#deadline) {
      this.stopping = true;
    }
  }

  rest(): void {
    this.#inFlight -= 1;
    if (this.#inFlight === 0) this.#allRest();
  }
}
