/**
 * The hub on a thread of its own. What a test does on the main thread (compiling, starting a
 * program and waiting for it) must not look like a broken network to the cluster, whose patience
 * is a second.
 *
 * This module is both sides: imported, it starts a worker that runs it again.
 */

import { once } from 'node:events';
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';

import { VmError } from './errors.js';
import { Hub, type LinkRule } from './hub.js';

/** Marks the worker that this module starts, in case somebody imports it in a worker of theirs. */
const ROLE = 'stackglue-vm-hub';

type Request =
  | { kind: 'rule'; from: number; to: number; rule: LinkRule }
  | { kind: 'clear' | 'start capture' | 'end capture' };

/** A running hub. */
export class HubThread {
  readonly #worker: Worker;
  /** The loopback port that network cards connect to. */
  readonly port: number;
  readonly #ended: Promise<unknown>;
  #lastRequest: Promise<unknown> = Promise.resolve();

  private constructor(worker: Worker, port: number) {
    this.#worker = worker;
    this.port = port;
    this.#ended = new Promise((resolve) => worker.once('exit', resolve));
  }

  /** Starts a hub. */
  static async start(): Promise<HubThread> {
    const worker = new Worker(new URL(import.meta.url), { workerData: ROLE });
    const [port] = (await once(worker, 'message')) as [number];
    return new HubThread(worker, port);
  }

  /** Sets a rule for one direction of a link; it is in force when this resolves. */
  async setRule(from: number, to: number, rule: LinkRule): Promise<void> {
    await this.#ask({ kind: 'rule', from, to, rule });
  }

  /** Removes all rules; none is in force when this resolves. */
  async clearRules(): Promise<void> {
    await this.#ask({ kind: 'clear' });
  }

  /** See {@link Hub.startCapture}. */
  async startCapture(): Promise<void> {
    await this.#ask({ kind: 'start capture' });
  }

  /** See {@link Hub.endCapture}. */
  async endCapture(): Promise<Uint8Array[]> {
    const [frames] = (await this.#ask({ kind: 'end capture' })) as [Uint8Array[]];
    return frames;
  }

  /** Unplugs everything and ends the thread. */
  async close(): Promise<void> {
    await this.#worker.terminate();
  }

  /** One request at a time, so that an answer is always the answer to the last one. */
  #ask(request: Request): Promise<unknown> {
    this.#lastRequest = this.#lastRequest.then(() => {
      const answer = once(this.#worker, 'message');
      const ended = this.#ended.then(() => {
        throw new VmError('gone', 'The cluster has been closed.');
      });
      this.#worker.postMessage(request);
      return Promise.race([answer, ended]);
    });
    return this.#lastRequest;
  }
}

/** Does what is asked; returns the answer. */
function perform(hub: Hub, request: Request): unknown {
  switch (request.kind) {
    case 'rule':
      hub.setRule(request.from, request.to, request.rule);
      break;
    case 'clear':
      hub.clearRules();
      break;
    case 'start capture':
      hub.startCapture();
      break;
    case 'end capture':
      return hub.endCapture();
  }
  return undefined;
}

if (!isMainThread && workerData === ROLE && parentPort) {
  const port = parentPort;
  const hub = new Hub();
  port.on('message', (request: Request) => {
    port.postMessage(perform(hub, request));
  });
  port.postMessage(await hub.listen());
}
