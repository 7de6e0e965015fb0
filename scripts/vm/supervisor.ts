/**
 * The process that owns a cluster for the command line: it boots it, and then serves requests on
 * the control socket until it is told to end. `cli.ts up` starts it, detached.
 */

import { once } from 'node:events';
import { mkdir, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';

import { Cluster, type ClusterOptions } from './cluster.js';
import {
  SOCKET_NAME,
  isClusterUp,
  runFolder,
  type ClusterStatus,
  type ControlAnswer,
  type ControlRequest,
  type StartupMessage,
} from './control.js';
import type { DeviceManager } from './device-manager.js';
import { VmError, messageOf } from './errors.js';
import type { MembershipMode } from './membership.js';

/** Tells the process that started this one, as long as it listens. */
function tell(message: StartupMessage): void {
  if (process.connected) process.send?.(message);
}

class Supervisor {
  readonly #membership: MembershipMode;
  readonly #server: Server;
  #cluster: Cluster | undefined;

  constructor(membership: MembershipMode) {
    this.#membership = membership;
    this.#server = createServer((socket) => {
      this.#serve(socket).catch((error: unknown) => {
        console.error(messageOf(error));
      });
    });
  }

  /** Takes the control socket: at most one cluster is up. */
  async listen(): Promise<void> {
    await mkdir(runFolder(), { recursive: true });
    process.chdir(runFolder());
    if (await isClusterUp()) {
      throw new VmError('usage', 'A cluster is up already. End it with: npm run cluster -- down');
    }
    await rm(SOCKET_NAME, { force: true });
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(SOCKET_NAME, resolve);
    });
  }

  async boot(options: Omit<ClusterOptions, 'membership' | 'progress'>): Promise<void> {
    this.#cluster = await Cluster.boot({
      ...options,
      membership: this.#membership,
      progress: {
        start: (step) => {
          tell({ kind: 'start', step });
        },
        done: (step, elapsedMs) => {
          tell({ kind: 'done', step, elapsedMs });
        },
      },
    });
  }

  /** Ends the cluster and this process. */
  async end(): Promise<never> {
    await this.#close();
    // Virtual machines that are still booting die with this process.
    process.exit();
  }

  async #serve(socket: Socket): Promise<void> {
    socket.on('error', () => {
      // Who asked has gone.
    });
    for await (const line of createInterface({ input: socket })) {
      const request = JSON.parse(line) as ControlRequest;
      const answer = await this.#answer(request);
      const sent = once(socket, 'finish');
      socket.end(`${JSON.stringify(answer)}\n`);
      await sent;
      if (request.op === 'down') await this.end();
    }
  }

  async #answer(request: ControlRequest): Promise<ControlAnswer> {
    try {
      if (request.op === 'status') return { ok: true, status: this.#status() };
      if (request.op === 'down') return await this.#close();
      if (!this.#cluster) return { ok: false, message: 'The cluster is still booting.' };
      await this.#perform(this.#cluster, request);
      return { ok: true };
    } catch (error) {
      return { ok: false, message: messageOf(error) };
    }
  }

  async #close(): Promise<ControlAnswer> {
    await this.#cluster?.close();
    await rm(SOCKET_NAME, { force: true });
    return { ok: true };
  }

  async #perform(cluster: Cluster, request: ControlRequest): Promise<void> {
    switch (request.op) {
      case 'kill':
        return cluster.kill(request.node);
      case 'restart':
        return cluster.restart(request.node);
      case 'evict':
        return cluster.evict(request.node);
      case 'isolate':
        return cluster.isolate(request.node);
      case 'cut':
        return cluster.cut(request.from, request.to, { oneWay: request.oneWay });
      case 'heal':
        return cluster.heal();
      case 'status':
      case 'down':
        return;
    }
  }

  #status(): ClusterStatus {
    const nodes = (this.#cluster?.nodes ?? []).map((node) => ({
      id: node.id,
      address: node.address,
      pid: node.pid,
      agentPort: node.isUp ? node.agentPort : undefined,
    }));
    return {
      state: this.#cluster ? 'up' : 'booting',
      membership: this.#membership,
      pid: process.pid,
      logFolder: this.#cluster?.logFolder ?? '',
      nodes,
    };
  }
}

const { values } = parseArgs({
  options: {
    nodes: { type: 'string', default: '3' },
    membership: { type: 'string', default: 'corosync' },
    memory: { type: 'string' },
    kernel: { type: 'string' },
    devices: { type: 'string' },
  },
});
const supervisor = new Supervisor(values.membership as MembershipMode);

for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
  process.on(signal, () => void supervisor.end());
}

try {
  await supervisor.listen();
  // Whoever gives up waiting for the cluster does not want it any more.
  const abandoned = (): void => void supervisor.end();
  process.once('disconnect', abandoned);
  await supervisor.boot({
    nodes: Number(values.nodes),
    memoryMiB: values.memory === undefined ? undefined : Number(values.memory),
    kernel: values.kernel,
    devices: values.devices as DeviceManager | undefined,
  });
  process.off('disconnect', abandoned);
  tell({ kind: 'up' });
} catch (error) {
  console.error(error);
  tell({ kind: 'failed', message: messageOf(error) });
  process.exit(1);
}
