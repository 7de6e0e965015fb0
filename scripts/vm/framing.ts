/**
 * Messages in a byte stream: a 32-bit big-endian length, then that many bytes. QEMU's socket
 * network speaks so, and the harness's agent in the guest does too.
 */

const HEADER = 4;

/** One message with its length in front. */
export function frame(...parts: readonly Uint8Array[]): Buffer {
  const header = Buffer.alloc(HEADER);
  header.writeUInt32BE(parts.reduce((sum, part) => sum + part.length, 0));
  return Buffer.concat([header, ...parts]);
}

/** Cuts a stream into its messages, however the stream's chunks are split. */
export class FrameReader {
  #held: Buffer[] = [];
  #heldLength = 0;

  /** Takes the stream's next chunk; returns the messages that it completes, in order. */
  push(chunk: Buffer): Buffer[] {
    this.#held.push(chunk);
    this.#heldLength += chunk.length;
    const messages: Buffer[] = [];
    for (;;) {
      const length = this.#nextLength();
      if (length === undefined || this.#heldLength < HEADER + length) return messages;
      const all = this.#joined();
      messages.push(all.subarray(HEADER, HEADER + length));
      this.#held = [all.subarray(HEADER + length)];
      this.#heldLength = all.length - HEADER - length;
    }
  }

  #nextLength(): number | undefined {
    if (this.#heldLength < HEADER) return undefined;
    const first = this.#held[0];
    return (first && first.length >= HEADER ? first : this.#joined()).readUInt32BE();
  }

  #joined(): Buffer {
    const [first, ...rest] = this.#held;
    const all = first && rest.length === 0 ? first : Buffer.concat(this.#held);
    this.#held = [all];
    return all;
  }
}
