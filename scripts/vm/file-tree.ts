/** The guest's files while its image is made, in an order that the kernel accepts. */

import type { CpioEntry } from './cpio.js';

/** See the top of this file. Paths are relative to the root, without a leading slash. */
export class FileTree {
  readonly #entries = new Map<string, CpioEntry>();

  /** A folder, and those that it is in. */
  folder(path: string): void {
    this.#makeParent(path);
    if (!this.#entries.has(path)) this.#entries.set(path, { type: 'directory', path });
  }

  /** A file with these bytes, in a folder that is made if need be. */
  file(path: string, data: Uint8Array): void {
    this.#makeParent(path);
    this.#entries.set(path, { type: 'file', path, data });
  }

  /** A file with this text. */
  text(path: string, text: string): void {
    this.file(path, Buffer.from(text));
  }

  /** A symbolic link. */
  link(path: string, target: string): void {
    this.#makeParent(path);
    this.#entries.set(path, { type: 'link', path, target });
  }

  /** All of it, for an archive. */
  entries(): Iterable<CpioEntry> {
    return this.#entries.values();
  }

  #makeParent(path: string): void {
    const parent = path.slice(0, Math.max(0, path.lastIndexOf('/')));
    if (parent) this.folder(parent);
  }
}
