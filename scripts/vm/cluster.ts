/** A cluster of virtual machines. */

import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import { chooseAccelerator } from './accelerator.js';
import { timeBoot } from './boot-times.js';
import { removeOld } from './cached.js';
import type { DeviceManager } from './device-manager.js';
import { VmError } from './errors.js';
import type { LinkRule } from './hub.js';
import { HubThread } from './hub-thread.js';
import { makeHeartbeatDisk } from './heartbeat-disk.js';
import { prepareImage } from './image.js';
import { CorosyncMembership } from './membership-corosync.js';
import { HostMembership } from './membership-host.js';
import { O2cbMembership } from './membership-o2cb.js';
import {
  NoMembership,
  type EvictOptions,
  type Membership,
  type MembershipMode,
} from './membership.js';
import { GuestNode } from './guest-node.js';
import { cacheFolder } from './paths.js';
import { SILENT, step, type Progress } from './progress.js';
import type { Accelerator } from './qemu.js';

/** What cluster to boot. */
export interface ClusterOptions {
  /** How many nodes, 1 to 32. They are numbered from 1. */
  nodes: number;
  membership: MembershipMode;
  /** Memory of each node in MiB. The default, 384, has room for Node.js. */
  memoryMiB?: number | undefined;
  /** Virtual processors of each node. The default is 1. */
  cpus?: number | undefined;
  /** See `ImageOptions.kernel`. */
  kernel?: string | undefined;
  /** Who makes the nodes' devices, and so how soon they are there. The default is `devtmpfs`. */
  devices?: DeviceManager | undefined;
  /** See `ImageOptions.userland`. */
  userland?: string | undefined;
  /** With membership `corosync`: its token timeout in milliseconds. The default is 1000. */
  tokenMs?: number | undefined;
  /**
   * With membership `host` or `o2cb`: whether `kill` evicts the node as well. The default is true;
   * with false the survivors believe in the node until `evict` is called.
   */
  evictKilled?: boolean | undefined;
  progress?: Progress | undefined;
}

const MAX_NODES = 32;
const DEFAULT_MEMORY_MIB = 384;
const DEFAULT_CPUS = 1;
const DEFAULT_TOKEN_MS = 1000;

function makeMembership(options: ClusterOptions, logs: string): Membership {
  switch (options.membership) {
    case 'corosync':
      return new CorosyncMembership(options.nodes, {
        tokenMs: options.tokenMs ?? DEFAULT_TOKEN_MS,
      });
    case 'host':
      return new HostMembership(join(logs, 'membership.log'));
    case 'o2cb':
      return new O2cbMembership(options.nodes, heartbeatDisk(logs));
    case 'none':
      return new NoMembership();
  }
}

/** With membership `o2cb`: the disk that all nodes share. */
function heartbeatDisk(logs: string): string {
  return join(logs, 'heartbeat.img');
}

/** A folder for one run's logs; those of a week ago are removed. */
async function makeLogFolder(): Promise<string> {
  const parent = join(cacheFolder(), 'logs');
  await removeOld(parent);
  const time = new Date().toISOString().replace(/[:.]/g, '-');
  const folder = join(parent, `${time}-${randomBytes(2).toString('hex')}`);
  await mkdir(folder, { recursive: true });
  return folder;
}

/**
 * Virtual machines on a network of their own. They end with `close`, and with this process, in
 * whatever way it ends.
 */
export class Cluster {
  /** How membership is decided. */
  readonly mode: MembershipMode;
  /** How the nodes' processors are made. */
  readonly accelerator: Accelerator;
  /** The folder with this run's logs: `n1.console.log` and so on. */
  readonly logFolder: string;
  readonly #nodes: readonly GuestNode[];
  readonly #hub: HubThread;
  readonly #membership: Membership;
  readonly #harnessEvicts: boolean;
  readonly #evictKilled: boolean;
  #closing: Promise<void> | undefined;

  private constructor(
    options: ClusterOptions,
    accelerator: Accelerator,
    logFolder: string,
    nodes: readonly GuestNode[],
    hub: HubThread,
  ) {
    this.mode = options.membership;
    this.accelerator = accelerator;
    this.logFolder = logFolder;
    this.#nodes = nodes;
    this.#hub = hub;
    this.#membership = makeMembership(options, logFolder);
    this.#harnessEvicts = options.membership === 'host' || options.membership === 'o2cb';
    this.#evictKilled = this.#harnessEvicts && (options.evictKilled ?? true);
  }

  /**
   * Boots a cluster, and builds its image first if need be. When it resolves, lockspaces can be
   * created on every node (unless membership is `none`). When it rejects, nothing is left behind.
   *
   * @throws {VmError} `build`, `boot` or `timeout`.
   */
  static async boot(options: ClusterOptions): Promise<Cluster> {
    const { nodes: count, progress = SILENT } = options;
    if (!Number.isInteger(count) || count < 1 || count > MAX_NODES) {
      throw new VmError('usage', `A cluster has 1 to ${MAX_NODES} nodes, not ${count}.`);
    }
    const image = await prepareImage(
      { kernel: options.kernel, userland: options.userland },
      progress,
    );
    const accelerator = await chooseAccelerator(image, progress);
    const logFolder = await makeLogFolder();
    const sharedDisk = options.membership === 'o2cb' ? heartbeatDisk(logFolder) : undefined;
    if (sharedDisk !== undefined) await makeHeartbeatDisk(sharedDisk);
    const hub = await HubThread.start();
    const nodes = Array.from({ length: count }, (_, index) => {
      const node = index + 1;
      return new GuestNode({
        image,
        accelerator,
        node,
        nodes: count,
        memoryMiB: options.memoryMiB ?? DEFAULT_MEMORY_MIB,
        cpus: options.cpus ?? DEFAULT_CPUS,
        devices: options.devices,
        hubPort: hub.port,
        sharedDisk,
        log: join(logFolder, `n${node}.console.log`),
      });
    });
    const cluster = new Cluster(options, accelerator, logFolder, nodes, hub);
    try {
      await timeBoot(async () => {
        await step(progress, `Booting ${count} × ${image.kernelPackage} (${accelerator})`, () =>
          Promise.all(nodes.map((node) => node.powerOn())),
        );
        if (options.membership !== 'none') {
          await step(progress, `Forming a cluster (${options.membership})`, () =>
            cluster.#membership.form(nodes),
          );
        }
      });
      return cluster;
    } catch (error) {
      await cluster.close();
      throw error;
    }
  }

  /** All nodes, node 1 first. */
  get nodes(): readonly GuestNode[] {
    return this.#nodes;
  }

  /**
   * The node of this number, running or not.
   *
   * @throws {VmError} `usage` when the cluster has no such node.
   */
  node(id: number): GuestNode {
    const node = this.#nodes[id - 1];
    if (node) return node;
    const known = this.#nodes.map((each) => each.id).join(', ');
    throw new VmError('usage', `There is no node ${id}; there are ${known}.`);
  }

  /**
   * Kills a node as a power cut would. Resolves when its QEMU is dead and, with membership `host`
   * or `o2cb` (unless told otherwise by `evictKilled`), the survivors have been told.
   */
  async kill(id: number): Promise<void> {
    await this.node(id).powerOff();
    if (this.#evictKilled) await this.#membership.evict([id]);
  }

  /**
   * With membership `host`: removes a node, dead or alive, or several in one change, from all their
   * lockspaces and from the cluster, as dlm_controld does when nodes have failed. With membership
   * `o2cb`: declares nodes dead that were killed; resolves when the survivors know.
   *
   * @throws {VmError} `usage` with membership `corosync`, which does that by itself.
   */
  async evict(ids: number | readonly number[], options: EvictOptions = {}): Promise<void> {
    const numbers = typeof ids === 'number' ? [ids] : ids;
    await this.#membership.evict(
      numbers.map((id) => this.node(id).id),
      options,
    );
  }

  /** Boots a node again, killing it first if it runs, and makes it a member of the cluster. */
  async restart(id: number): Promise<void> {
    const node = this.node(id);
    await node.powerOff();
    if (this.#harnessEvicts) await this.#membership.evict([id]);
    await timeBoot(async () => {
      await node.powerOn();
      await this.#membership.rejoin(node, this.#nodes.filter((each) => each.isUp).length);
    });
  }

  /**
   * Cuts the link between two nodes, so that no frame passes; with `oneWay`, only those from the
   * first to the second are lost. In force when it resolves.
   */
  async cut(a: number, b: number, options: { oneWay?: boolean } = {}): Promise<void> {
    await this.shape(a, b, { cut: true });
    if (!options.oneWay) await this.shape(b, a, { cut: true });
  }

  /** Cuts all links of a node. Commands can still be run on it: they take another network. */
  async isolate(id: number): Promise<void> {
    this.node(id);
    for (const other of this.#nodes) if (other.id !== id) await this.cut(id, other.id);
  }

  /** Sets delay and loss of frames from one node to another; replaces what was set before. */
  async shape(from: number, to: number, rule: LinkRule): Promise<void> {
    await this.#hub.setRule(this.node(from).id, this.node(to).id, rule);
  }

  /** Restores all links, or both directions of the one between two nodes. */
  async heal(a?: number, b?: number): Promise<void> {
    if (a === undefined || b === undefined) return this.#hub.clearRules();
    await this.shape(a, b, {});
    await this.shape(b, a, {});
  }

  /** Begins to keep every Ethernet frame that a node sends to the cluster's network. */
  async startCapture(): Promise<void> {
    await this.#hub.startCapture();
  }

  /** Ends the capture; resolves to the frames, in order. */
  async endCapture(): Promise<Uint8Array[]> {
    return this.#hub.endCapture();
  }

  /** Ends all virtual machines. Resolves when none is left. May be called again. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await Promise.all(this.#nodes.map((node) => node.powerOff()));
    await this.#membership.close();
    await this.#hub.close();
  }
}
