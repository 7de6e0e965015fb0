/** The tarball that npm makes of a copy of this checkout, in which the JavaScript is bundled. */
import { cp, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { withPrebuilds } from '../prebuild/prebuild.js';
import { PROJECT_ROOT } from '../vm/paths.js';
import { runTool } from '../vm/tools.js';
import { bundle } from './bundle.js';

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

/** What npm takes without being told. */
const ALWAYS = ['package.json', 'README.md', 'LICENSE'];

/** What bundle.ts makes itself. */
const BUNDLED = /^dist\/.*\.js(\.map)?$/;

/** Copies into `folder` what package.json says that the package has. */
async function stage(folder: string): Promise<void> {
  const manifest = await readFile(join(PROJECT_ROOT, 'package.json'), 'utf8');
  const { files } = JSON.parse(manifest) as { files: string[] };
  for (const path of [...ALWAYS, ...files]) {
    await cp(join(PROJECT_ROOT, path), join(folder, path), {
      recursive: true,
      filter: (source) => !BUNDLED.test(source.slice(PROJECT_ROOT.length + 1)),
    });
  }
  await bundle(folder);
}

/** Packs what is built, as it is, into `folder`. */
export async function pack(folder: string): Promise<Packed> {
  await mkdir(folder, { recursive: true });
  const staged = await mkdtemp(join(tmpdir(), 'stackglue-pack-'));
  try {
    await withPrebuilds(() => stage(staged));
    // Not prepack, which refuses; what could be built is built.
    const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', folder];
    const told = await runTool('npm', args, { cwd: staged });
    const [packed] = JSON.parse(told) as { filename: string; size: number; files: PackedFile[] }[];
    if (packed === undefined) throw new Error(`npm pack has said: ${told}`);
    return { path: join(folder, packed.filename), size: packed.size, files: packed.files };
  } finally {
    await rm(staged, { recursive: true, force: true });
  }
}
