/** A writer of cpio archives in the "newc" format, which Linux takes as its initial file system. */

/** One entry of an archive. Modes are permission bits only; the owner is always root. */
export type CpioEntry =
  | { type: 'directory'; path: string; mode?: number }
  | { type: 'file'; path: string; mode?: number; data: Uint8Array }
  | { type: 'link'; path: string; target: string };

const TRAILER = 'TRAILER!!!';
const KIND = { directory: 0o040000, file: 0o100000, link: 0o120000 };
const ALIGNMENT = 4;

function padding(length: number): Buffer {
  return Buffer.alloc((ALIGNMENT - (length % ALIGNMENT)) % ALIGNMENT);
}

function record(path: string, mode: number, inode: number, data: Uint8Array): Buffer[] {
  const name = Buffer.from(`${path}\0`);
  // inode, mode, uid, gid, links, mtime, size, device (2), special device (2), name size, check
  const fields = [inode, mode, 0, 0, 1, 0, data.length, 0, 0, 0, 0, name.length, 0];
  const hex = fields.map((field) => field.toString(16).padStart(8, '0')).join('');
  const head = Buffer.concat([Buffer.from(`070701${hex}`), name]);
  return [head, padding(head.length), Buffer.from(data), padding(data.length)];
}

/**
 * The bytes of an archive with these entries, in their order. The same entries always give the
 * same bytes.
 *
 * Paths are relative to the root, without a leading slash; the kernel needs each folder before
 * what is in it.
 */
export function writeCpio(entries: Iterable<CpioEntry>): Buffer {
  const parts: Buffer[] = [];
  let inode = 1;
  for (const entry of entries) {
    const mode = entry.type === 'link' ? 0o777 : (entry.mode ?? 0o755);
    const data =
      entry.type === 'file' ? entry.data : Buffer.from(entry.type === 'link' ? entry.target : '');
    parts.push(...record(entry.path, KIND[entry.type] | mode, inode++, data));
  }
  parts.push(...record(TRAILER, 0, 0, Buffer.alloc(0)));
  return Buffer.concat(parts);
}
