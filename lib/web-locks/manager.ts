/** What `navigator.locks` is, for one lockspace. */
import type { Lockspace } from '../locks/index.js';
import { checkArguments, convertArguments } from './arguments.js';
import { invalidState } from './failures.js';
import { NameQueue, type Seen } from './queue.js';
import { WebRequest } from './request.js';
import { randomBytes, RollCall } from './roll-call.js';
import type {
  WebLockGrantedCallback,
  WebLockInfo,
  WebLockManager,
  WebLockManagerSnapshot,
  WebLockOptions,
} from './types.js';

export class LockManager implements WebLockManager {
  readonly #ls: Lockspace;
  readonly #clientId: string;
  readonly #queues = new Map<string, NameQueue>();
  readonly #rollCall: RollCall;

  /** For `webLocks`. */
  constructor(ls: Lockspace) {
    this.#ls = ls;
    this.#clientId = uuid(ls);
    this.#rollCall = new RollCall(ls, this.#clientId, () => this.#snapshot());
    ls.lost.addEventListener('abort', () => this.#end(), { once: true });
  }

  request<T>(name: string, callback: WebLockGrantedCallback<T>): Promise<Awaited<T>>;
  request<T>(
    name: string,
    options: WebLockOptions,
    callback: WebLockGrantedCallback<T>,
  ): Promise<Awaited<T>>;
  async request(...given: readonly unknown[]): Promise<unknown> {
    // Throws a TypeError for what is no lock manager.
    const { lost } = this.#ls;
    const converted = convertArguments(given);
    if (lost.aborted) throw invalidState(lost.reason);
    checkArguments(converted);
    this.#rollCall.attend();
    const request = new WebRequest(converted);
    const queue = this.#queueOf(request.name);
    if (converted.steal) queue.add(request, 'steal');
    else queue.add(request, converted.ifAvailable ? 'try' : 'wait');
    return request.promise;
  }

  async query(): Promise<WebLockManagerSnapshot> {
    const { lost } = this.#ls;
    try {
      return await this.#rollCall.call();
    } catch (error) {
      throw lost.aborted ? invalidState(lost.reason) : error;
    }
  }

  #queueOf(name: string): NameQueue {
    const known = this.#queues.get(name);
    if (known !== undefined) return known;
    const queue: NameQueue = new NameQueue(this.#ls, name, () => {
      // A callback that was robbed may end when there is another one.
      if (this.#queues.get(name) === queue) this.#queues.delete(name);
    });
    this.#queues.set(name, queue);
    return queue;
  }

  /** What there is here: with all that was asked for before, and can be granted. */
  async #snapshot(): Promise<Required<WebLockManagerSnapshot>> {
    await Promise.all(Array.from(this.#queues.values(), (queue) => queue.isServed()));
    const queues = [...this.#queues.values()];
    return {
      held: queues.flatMap(({ held }) => held.map((seen) => this.#show(seen))),
      pending: queues.flatMap(({ pending }) => pending.map((seen) => this.#show(seen))),
    };
  }

  #show({ name, mode }: Seen): WebLockInfo {
    return { name, mode, clientId: this.#clientId };
  }

  #end(): void {
    const queues = [...this.#queues.values()];
    this.#queues.clear();
    for (const queue of queues) queue.end(this.#ls.lost.reason);
  }
}
// As an interface of the platform has it.
Object.defineProperties(LockManager.prototype, {
  request: { enumerable: true },
  query: { enumerable: true },
  [Symbol.toStringTag]: { value: 'LockManager', configurable: true },
});
// eslint-disable-next-line @typescript-eslint/unbound-method -- it is looked at, not called
Object.defineProperty(LockManager.prototype.request, 'length', { value: 2 });

/** By which a client is known. The chance is the stack's, so that a simulation repeats itself. */
function uuid({ clock }: Lockspace): string {
  const bytes = randomBytes(clock, 16);
  // Version 4: random.
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x40, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}
