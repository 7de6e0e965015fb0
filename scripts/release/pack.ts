/** The tarball that npm makes of this checkout. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import { withPrebuilds } from '../prebuild/prebuild.js';
import { PROJECT_ROOT } from '../vm/paths.js';
import { runTool } from '../vm/tools.js';

/** A file of the tarball. */
export interface PackedFile {
  readonly path: string;
  readonly size: number;
  readonly mode: number;
}

export interface Packed {
  readonly path: string;
  readonly size: number;
  readonly files: readonly PackedFile[];
}

/** Packs what is built, as it is, into `folder`. */
export async function pack(folder: string): Promise<Packed> {
  await mkdir(folder, { recursive: true });
  // What prepack would build is built.
  const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', folder];
  const told = await withPrebuilds(() => runTool('npm', args, { cwd: PROJECT_ROOT }));
  const [packed] = JSON.parse(told) as { filename: string; size: number; files: PackedFile[] }[];
  if (packed === undefined) throw new Error(`npm pack has said: ${told}`);
  return { path: join(folder, packed.filename), size: packed.size, files: packed.files };
}
