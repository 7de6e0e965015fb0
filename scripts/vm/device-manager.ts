/**
 * Who makes the names and permissions of devices in a guest. Every image has udev in it: a guest that
 * does not start it pays 7 MiB of memory and 0.2 s of its boot for that.
 */

import { existsSync } from 'node:fs';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';

import { VmError } from './errors.js';
import type { FileTree } from './file-tree.js';
import { placeOf } from './guest-root.js';

/**
 * - `devtmpfs`: the kernel alone. A device is there, in `/dev`, before the call that makes it returns, and
 *   is root's; `/dev/misc` is a link to `/dev`.
 * - `udev`: Debian's systemd-udevd with the rules of its packages, as on a host. Links and permissions
 *   come some time after the device.
 */
export type DeviceManager = 'devtmpfs' | 'udev';

/** udev's one program: it is systemd-udevd when it is called by that name. */
export const UDEV_PROGRAM = 'bin/udevadm';

const RULES = 'lib/udev/rules.d';

/** Where guest/init finds them: `lib` is a link in the guest. */
const DAEMON = 'usr/lib/systemd/systemd-udevd';
const GUEST_RULES = 'usr/lib/udev/rules.d';

/** The rule by which libdlm finds its devices. */
const DLM_RULES = '51-dlm.rules';

/** Group numbers that nobody else has in the guest. */
const FIRST_GROUP = 100;

/**
 * Adds udev's rules and those of the DLM's packages, and the groups that they name. {@link UDEV_PROGRAM}
 * and its libraries are added with the other programs.
 *
 * @param root the file tree of the guest's packages.
 * @throws {VmError} `build` when the packages have no rules for the DLM.
 */
export async function addUdev(files: FileTree, root: string): Promise<void> {
  const folder = placeOf(root, RULES);
  if (!existsSync(join(folder, DLM_RULES))) {
    throw new VmError('build', `No package of the guest has ${RULES}/${DLM_RULES}.`);
  }
  files.link(DAEMON, `/${UDEV_PROGRAM}`);
  const groups = new Set<string>();
  for (const name of (await readdir(folder)).sort()) {
    const rules = await readFile(join(folder, name));
    files.file(`${GUEST_RULES}/${name}`, rules);
    for (const [, group] of rules.toString().matchAll(/\bGROUP="(\w+)"/g)) groups.add(group ?? '');
  }
  groups.delete('root');
  const lines = [...groups].sort().map((group, index) => `${group}:x:${FIRST_GROUP + index}:`);
  files.text('etc/group', ['root:x:0:', ...lines, ''].join('\n'));
}
