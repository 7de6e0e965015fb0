/** Where the harness finds its sources and keeps its results. */

import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

function findProjectRoot(): string {
  let directory = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(directory, 'package.json'))) directory = dirname(directory);
  return directory;
}

/** The project's root on the host: the nearest folder above this module with a package.json. */
export const PROJECT_ROOT = findProjectRoot();

/** Sources that are compiled or copied into the guest. */
export const GUEST_SOURCES = join(PROJECT_ROOT, 'scripts', 'vm', 'guest');

/** Where the project's root is mounted, read-only, in every guest. */
export const GUEST_PROJECT = '/project';

/** The Node.js program in every guest. */
export const GUEST_NODE = '/opt/node/bin/node';

/**
 * The folder of downloaded packages, images, logs and sockets: `.cache/vm` in the project, or
 * what the environment variable STACKGLUE_VM_CACHE says.
 */
export function cacheFolder(): string {
  const chosen = process.env.STACKGLUE_VM_CACHE;
  return chosen ? resolve(chosen) : join(PROJECT_ROOT, '.cache', 'vm');
}
