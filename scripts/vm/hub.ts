/**
 * The cluster's Ethernet: a hub on loopback that every virtual machine's cluster network card is
 * plugged into, and that decides which frames pass.
 *
 * A node is known by its card's address, `52:54:00:cc:00:<node>`, which its frames carry as their
 * source. Rules are directed: from one node to another.
 */

import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';

import { FrameReader, frame } from './framing.js';

/** What happens to frames on the way from one node to another. Absent: they pass at once. */
export interface LinkRule {
  /** Every frame is lost. */
  cut?: boolean;
  /** Each frame is late by this many milliseconds; order is kept. */
  delayMs?: number;
  /** Each frame is lost with this probability, 0 to 1. */
  loss?: number;
}

/** The bytes of an Ethernet frame that matter here. */
const DESTINATION_NODE = 5;
const SOURCE_NODE = 11;
const GROUP_BIT = 1;

/** The address of a node's cluster network card. */
export function clusterMac(node: number): string {
  return `52:54:00:cc:00:${node.toString(16).padStart(2, '0')}`;
}

/** See the top of this file. */
export class Hub {
  readonly #server: Server;
  /** Each plug, and the node behind it once it has sent something. */
  readonly #plugs = new Map<Socket, number | undefined>();
  readonly #rules = new Map<string, LinkRule>();
  readonly #random: () => number;
  readonly #later: (work: () => void, delayMs: number) => void;
  /** The frames that were sent since the capture began; undefined without one. */
  #captured: Uint8Array<ArrayBuffer>[] | undefined;

  /**
   * @param random gives numbers from 0 to below 1, for loss.
   * @param later does the work after so many milliseconds, in order where they are equal, for delay.
   */
  constructor(
    random: () => number = Math.random,
    later: (work: () => void, delayMs: number) => void = setTimeout,
  ) {
    this.#random = random;
    this.#later = later;
    this.#server = createServer((socket) => {
      this.#plug(socket);
    });
  }

  /** Starts to listen on loopback; resolves to the port. */
  async listen(): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(0, '127.0.0.1', resolve);
    });
    return (this.#server.address() as AddressInfo).port;
  }

  /** Sets what happens to frames from one node to another, in this direction only. */
  setRule(from: number, to: number, rule: LinkRule): void {
    this.#rules.set(`${from}>${to}`, rule);
  }

  /** Removes all rules: every frame passes. */
  clearRules(): void {
    this.#rules.clear();
  }

  /** Begins to keep every frame that a node sends, whether or not it passes. */
  startCapture(): void {
    this.#captured = [];
  }

  /** Ends the capture; returns the frames, in order. */
  endCapture(): Uint8Array<ArrayBuffer>[] {
    const captured = this.#captured ?? [];
    this.#captured = undefined;
    return captured;
  }

  /** Unplugs everything and stops listening. */
  async close(): Promise<void> {
    for (const socket of this.#plugs.keys()) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #plug(socket: Socket): void {
    const reader = new FrameReader();
    socket.setNoDelay(true);
    this.#plugs.set(socket, undefined);
    socket.on('data', (chunk: Buffer) => {
      for (const message of reader.push(chunk)) this.#pass(socket, message);
    });
    socket.on('error', () => {
      // A virtual machine that was killed; 'close' follows.
    });
    socket.on('close', () => this.#plugs.delete(socket));
  }

  #pass(from: Socket, message: Buffer): void {
    const source = message.readUInt8(SOURCE_NODE);
    const destination = message.readUInt8(DESTINATION_NODE);
    const toGroup = (message.readUInt8(0) & GROUP_BIT) !== 0;
    this.#plugs.set(from, source);
    this.#captured?.push(Uint8Array.from(message));
    for (const [socket, node] of this.#plugs) {
      if (socket === from) continue;
      // To who has not spoken yet everything goes, as a real hub would have it.
      if (node === undefined) this.#send(socket, message);
      else if (toGroup || destination === node) this.#sendByRule(socket, message, source, node);
    }
  }

  #sendByRule(socket: Socket, message: Buffer, from: number, to: number): void {
    const rule = this.#rules.get(`${from}>${to}`);
    if (rule?.cut || (rule?.loss && this.#random() < rule.loss)) return;
    if (!rule?.delayMs) {
      this.#send(socket, message);
      return;
    }
    // The message is a view of a buffer that is not written to again, so it may be kept.
    this.#later(() => {
      this.#send(socket, message);
    }, rule.delayMs);
  }

  #send(socket: Socket, message: Buffer): void {
    if (socket.writable) socket.write(frame(message));
  }
}
