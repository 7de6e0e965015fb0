/** The checksums that go with the binaries, as sha256sum(1) reads them. */
import { createHash } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const FILE = 'SHA256SUMS';

async function sumsOf(folder: string): Promise<string> {
  const lines: string[] = [];
  for (const entry of (await readdir(folder, { withFileTypes: true })).sort((a, b) =>
    a.name < b.name ? -1 : 1,
  )) {
    if (!entry.isDirectory()) continue;
    for (const file of (await readdir(join(folder, entry.name))).sort()) {
      const path = `${entry.name}/${file}`;
      const bytes = await readFile(join(folder, path));
      lines.push(`${createHash('sha256').update(bytes).digest('hex')}  ${path}\n`);
    }
  }
  return lines.join('');
}

/** Writes them, of all binaries in `folder`. */
export async function writeSums(folder: string): Promise<void> {
  await writeFile(join(folder, FILE), await sumsOf(folder));
}

/** Whether the file has the sums of just the binaries that are there. */
export async function areSumsRight(folder: string): Promise<boolean> {
  return (await readFile(join(folder, FILE), 'utf8')) === (await sumsOf(folder));
}
