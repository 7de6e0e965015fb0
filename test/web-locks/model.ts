/**
 * The specification's algorithms, word by word, for one client: lock request queues and the held lock set, without any
 * promise. What happens in one turn of a program is done here in the same order.
 */
import type { WebLockMode } from '../../lib/web-locks/index.js';

/** What became of a request so far. */
export type State = 'pending' | 'held' | 'missed' | 'robbed' | 'aborted' | 'released';

/** A request, by its number. */
export interface ModelRequest {
  readonly id: number;
  readonly name: string;
  readonly mode: WebLockMode;
  state: State;
}

export class Model {
  readonly #queues = new Map<string, ModelRequest[]>();
  readonly #held = new Set<ModelRequest>();

  get held(): string[] {
    return Array.from(this.#held, show).sort();
  }

  /** By name, in the order of each queue. */
  get pending(): Record<string, string[]> {
    const queues = [...this.#queues].filter(([, queue]) => queue.length > 0);
    return Object.fromEntries(queues.map(([name, queue]) => [name, queue.map(show)]));
  }

  /** Request a lock. */
  request(request: ModelRequest, how: 'wait' | 'ifAvailable' | 'steal'): void {
    const queue = this.#queueOf(request.name);
    if (how === 'steal') {
      for (const lock of this.#held) {
        if (lock.name !== request.name) continue;
        this.#held.delete(lock);
        lock.state = 'robbed';
      }
      queue.unshift(request);
    } else {
      if (how === 'ifAvailable' && !this.#isGrantable(request)) {
        request.state = 'missed';
        return;
      }
      queue.push(request);
    }
    this.#process(queue);
  }

  /** Abort a request. */
  abort(request: ModelRequest): void {
    const queue = this.#queueOf(request.name);
    queue.splice(queue.indexOf(request), 1);
    request.state = 'aborted';
    this.#process(queue);
  }

  /** Release a lock. */
  release(request: ModelRequest): void {
    this.#held.delete(request);
    request.state = 'released';
    this.#process(this.#queueOf(request.name));
  }

  #process(queue: ModelRequest[]): void {
    for (;;) {
      const [request] = queue;
      if (request === undefined || !this.#isGrantable(request)) return;
      queue.shift();
      this.#held.add(request);
      request.state = 'held';
    }
  }

  #isGrantable(request: ModelRequest): boolean {
    const queue = this.#queueOf(request.name);
    if (queue.length > 0 && queue[0] !== request) return false;
    const held = [...this.#held].filter(({ name }) => name === request.name);
    return request.mode === 'exclusive'
      ? held.length === 0
      : held.every(({ mode }) => mode === 'shared');
  }

  #queueOf(name: string): ModelRequest[] {
    const queue = this.#queues.get(name) ?? [];
    this.#queues.set(name, queue);
    return queue;
  }
}

function show({ name, mode }: ModelRequest): string {
  return `${name} ${mode}`;
}
