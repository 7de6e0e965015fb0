/** The unpacked packages that a guest is made of. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { VmError } from './errors.js';

/**
 * Where a file or folder of `/bin` or `/lib` is among them: newer packages have it in `/usr`.
 *
 * @param path relative to the guest's root, without `usr/`.
 * @throws {VmError} `build` when no package has it.
 */
export function placeOf(root: string, path: string): string {
  const place = [path, `usr/${path}`].map((each) => join(root, each)).find(existsSync);
  if (place === undefined) throw new VmError('build', `No package of the guest has ${path}.`);
  return place;
}
