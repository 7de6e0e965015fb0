/** Several owners of locks in one process, each with a connection of its own, for the specs. */
import { expect } from 'chai';

import { localNode, type NodeDriver, type NodeEvent } from '../../lib/conformance/index.js';
import { DLM_LOCK, StackGlue, type LockMode, type UserStackOptions } from '../../lib/glue.js';
import { createTestPlugin } from '../support/user-plugin.js';

/** What a request may carry besides its mode. */
interface Options {
  flags?: number;
  lvb?: string;
}

/** A connection, and the one lock that a test has on it. To the kernel it is a process of its own. */
export class Owner {
  readonly name: string;
  readonly #node: NodeDriver;
  #syncs = 0;

  constructor(node: NodeDriver, name: string) {
    this.#node = node;
    this.name = name;
  }

  async connect(group: string): Promise<void> {
    await this.#node.connect('pcmk', group, [1, 0], { on: this.name });
  }

  disconnect(): Promise<void> {
    return this.#node.disconnect(this.name);
  }

  /** Asks for the lock; returns what the call returned. */
  ask(resource: string, mode: LockMode, flags = 0): Promise<number> {
    return this.#node.ask(this.name, resource, mode, flags, { on: this.name });
  }

  /** Asks for the lock and waits for the completion. */
  lock(resource: string, mode: LockMode, flags = 0): ReturnType<NodeDriver['lock']> {
    return this.#node.lock(this.name, resource, mode, flags, { on: this.name });
  }

  /** Asks for a lock that is not granted: when this resolves, the kernel has queued it. */
  async wait(resource: string, mode: LockMode, flags = 0): Promise<void> {
    await this.#mustWait(() => this.ask(resource, mode, flags));
  }

  askConvert(mode: LockMode, options: Options = {}): Promise<number> {
    return this.#node.askConvert(this.name, mode, options);
  }

  convert(mode: LockMode, options: Options = {}): ReturnType<NodeDriver['convert']> {
    return this.#node.convert(this.name, mode, options);
  }

  /** Asks for a conversion that is not granted: when this resolves, the kernel has queued it. */
  async waitConvert(mode: LockMode, flags = 0): Promise<void> {
    await this.#mustWait(() => this.askConvert(mode, { flags }));
  }

  unlock(options: Options = {}): Promise<void> {
    return this.#node.unlock(this.name, options);
  }

  /** Asks for an unlock; returns what the call returned. */
  askUnlock(flags: number): Promise<number> {
    return this.#node.askUnlock(this.name, { flags });
  }

  cancel(): Promise<number> {
    return this.#node.cancel(this.name);
  }

  look(): ReturnType<NodeDriver['look']> {
    return this.#node.look(this.name);
  }

  lockAst(): ReturnType<NodeDriver['lockAst']> {
    return this.#node.lockAst(this.name);
  }

  unlockAst(): ReturnType<NodeDriver['unlockAst']> {
    return this.#node.unlockAst(this.name);
  }

  blockingAst(): ReturnType<NodeDriver['blockingAst']> {
    return this.#node.blockingAst(this.name);
  }

  completion(): ReturnType<NodeDriver['completion']> {
    return this.#node.completion(this.name);
  }

  get completions(): readonly NodeEvent[] {
    return this.#node.completionsOf(this.name);
  }

  get blockingAsts(): number {
    return this.#node.blockingAstsOf(this.name);
  }

  /**
   * What was asked for before on this connection has reached the kernel, and what the kernel had to
   * say until now has come: a connection's requests are made in order, and its events too.
   */
  async sync(): Promise<void> {
    this.#syncs += 1;
    const [lock, resource] = [`${this.name}-sync-${this.#syncs}`, `sync-${this.name}`];
    await this.#node.lock(lock, resource, DLM_LOCK.NL, 0, { on: this.name });
    await this.#node.unlock(lock);
  }

  async #mustWait(ask: () => Promise<number>): Promise<void> {
    const before = this.completions.length;
    expect(await ask()).to.equal(0);
    await this.sync();
    const { completions } = this;
    expect(completions, 'completions, of an operation that waits').to.have.lengthOf(before);
  }
}

/** A node in this process on which owners of these names connect, with a plugin of these options. */
export function makeOwners<const Name extends string>(
  names: readonly Name[],
  options: UserStackOptions = {},
): { node: NodeDriver; owners: Record<Name, Owner> } {
  const node = localNode(() => {
    const glue = new StackGlue();
    glue.register(createTestPlugin(options));
    return glue;
  });
  const owners = Object.fromEntries(names.map((name) => [name, new Owner(node, name)]));
  return { node, owners: owners as Record<Name, Owner> };
}
