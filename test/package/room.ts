/** Rooms: a folder as the whole file system of a program, by bubblewrap, as root or not. */
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

import { findTool } from '../../scripts/vm/tools.js';

/** Where things are in a room, and a folder of its root for each. */
const PLACES = { proc: '/proc', dev: '/dev', tmp: '/tmp', tools: '/opt', own: '/srv' } as const;

/** Where those who are in a room have {@link Room.own}. */
export const OWN = PLACES.own;

export interface Room {
  /** Its root, which nobody who is in it can change. */
  readonly root: string;
  /** What else is seen in it, in /opt: by name. Its root has a folder for each: {@link furnish}. */
  readonly tools: Readonly<Record<string, string>>;
  /** The folder that a program in it begins in and may write to. */
  readonly own: string;
  readonly env: Readonly<Record<string, string>>;
}

/** Makes the folders that what is not of a root is seen at. */
export function furnish(root: string, tools: readonly string[]): void {
  const folders = [...Object.values(PLACES), ...tools.map((name) => join(PLACES.tools, name))];
  for (const folder of folders) mkdirSync(join(root, folder), { recursive: true });
}

/**
 * The arguments of bubblewrap that run a command in a room, as the user of this number there. It has no
 * network, and no right outside.
 */
export function entering(room: Room, uid: number, command: readonly string[]): string[] {
  const tools = Object.entries(room.tools).flatMap(([name, path]) => [
    ...['--ro-bind', path, join(PLACES.tools, name)],
  ]);
  const env = Object.entries(room.env).flatMap(([name, value]) => ['--setenv', name, value]);
  return [
    ...['--unshare-all', '--die-with-parent', '--uid', String(uid), '--gid', String(uid)],
    ...['--ro-bind', room.root, '/', '--proc', PLACES.proc, '--dev', PLACES.dev],
    ...['--tmpfs', PLACES.tmp, ...tools, '--bind', room.own, PLACES.own, '--chdir', PLACES.own],
    ...['--clearenv', ...env, ...command],
  ];
}

/** Why there can be no room on this machine; undefined where there can. */
export function whyNoRoom(): string | undefined {
  if (findTool('bwrap') === undefined) return 'bwrap is missing (apt-get install bubblewrap)';
  const args = ['--unshare-all', '--ro-bind', '/', '/', 'true'];
  const { status, stderr } = spawnSync('bwrap', args, { encoding: 'utf8' });
  return status === 0 ? undefined : `bubblewrap may not make namespaces: ${stderr.trim()}`;
}
