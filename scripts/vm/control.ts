/** How the command line talks to the process that owns the running cluster. */

import { connect, type Socket } from 'node:net';
import { join, relative } from 'node:path';
import { createInterface } from 'node:readline';

import { VmError } from './errors.js';
import type { MembershipMode } from './membership.js';
import { cacheFolder } from './paths.js';

/** A request: one line of JSON on a connection of its own. */
export type ControlRequest =
  | { op: 'status' | 'down' | 'heal' }
  | { op: 'kill' | 'restart' | 'evict' | 'isolate'; node: number }
  | { op: 'cut'; from: number; to: number; oneWay: boolean };

/** What `status` answers. */
export interface ClusterStatus {
  readonly state: 'booting' | 'up';
  readonly membership: MembershipMode;
  /** The owning process. */
  readonly pid: number;
  readonly logFolder: string;
  readonly nodes: readonly NodeStatus[];
}

/** A node in {@link ClusterStatus}. */
export interface NodeStatus {
  readonly id: number;
  readonly address: string;
  /** Undefined when the node is not running. */
  readonly pid?: number | undefined;
  readonly agentPort?: number | undefined;
}

/** The answer: one line of JSON. */
export type ControlAnswer =
  { ok: true; status?: ClusterStatus | undefined } | { ok: false; message: string };

/** What the owning process tells the one that started it. */
export type StartupMessage =
  | { kind: 'start'; step: string }
  | { kind: 'done'; step: string; elapsedMs: number }
  | { kind: 'up' }
  | { kind: 'failed'; message: string };

/** The folder of the control socket and of the owner's own log. */
export function runFolder(): string {
  return join(cacheFolder(), 'run');
}

/** The name of the socket in {@link runFolder}. */
export const SOCKET_NAME = 'control.sock';

/** The shortest path to the socket: the system allows a hundred characters or so. */
function socketPath(): string {
  const path = join(runFolder(), SOCKET_NAME);
  const fromHere = relative(process.cwd(), path);
  return fromHere.length < path.length ? fromHere : path;
}

/** A connection to the owner, or undefined when no cluster is up. */
function reach(): Promise<Socket | undefined> {
  return new Promise((resolve, reject) => {
    const socket = connect(socketPath());
    socket.once('connect', () => {
      resolve(socket);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED') resolve(undefined);
      else reject(error);
    });
  });
}

/** Whether a cluster is up or booting. */
export async function isClusterUp(): Promise<boolean> {
  const socket = await reach();
  socket?.destroy();
  return socket !== undefined;
}

/**
 * Asks the owner of the running cluster for something.
 *
 * @throws {VmError} `usage` when no cluster is up, or when the owner cannot do it.
 */
export async function ask(request: ControlRequest): Promise<ClusterStatus | undefined> {
  const socket = await reach();
  if (!socket) {
    throw new VmError('usage', 'No cluster is up. Start one with: npm run cluster -- up 3');
  }
  socket.write(`${JSON.stringify(request)}\n`);
  for await (const line of createInterface({ input: socket })) {
    socket.destroy();
    const answer = JSON.parse(line) as ControlAnswer;
    if (!answer.ok) throw new VmError('usage', answer.message);
    return answer.status;
  }
  throw new VmError('gone', `The cluster's process has ended. Its log is in ${runFolder()}.`);
}
