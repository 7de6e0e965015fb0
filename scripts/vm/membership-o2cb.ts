/**
 * Membership by ocfs2's own cluster stack in the kernels (fs/ocfs2/cluster): node numbers and addresses
 * in configfs, a heartbeat on a disk that all nodes share, and o2net between them. There are no daemons,
 * and dlmfs is mounted on `/dlm`: a folder made there is a domain of o2dlm.
 *
 * A node that beats late is never taken for dead: emulated guests on a busy host beat late. Who has died
 * the harness knows, and says so on the disk; a survivor reads it within two seconds.
 */

import { HEARTBEAT_BLOCK, HEARTBEAT_BLOCKS, HEARTBEAT_START } from './heartbeat-disk.js';
import { declareDead } from './heartbeat-disk.js';
import type { Membership } from './membership.js';
import { nodeAddress, type GuestNode } from './guest-node.js';

const CLUSTER = '/sys/kernel/config/cluster/stackglue';
const REGION = `${CLUSTER}/heartbeat/5374616b676c7565`;
const DEBUG = '/sys/kernel/debug';
const PORT = 7777;
/** `O2HB_DEFAULT_DEAD_THRESHOLD`: a node is dead after this many beats, and fences itself one earlier. */
const DEAD_THRESHOLD = 31;

/** Starts a node's part. The kernel answers when its heartbeat is steady, some six seconds later. */
function startCommand(id: number, nodes: number): string {
  const lines = [
    'set -e',
    'modprobe -a ocfs2_stack_o2cb ocfs2_dlm ocfs2_dlmfs',
    'echo o2cb > /sys/fs/ocfs2/cluster_stack',
    `mkdir ${CLUSTER}`,
    `echo ${DEAD_THRESHOLD} > ${CLUSTER}/heartbeat/dead_threshold`,
  ];
  for (let each = 1; each <= nodes; each++) {
    const node = `${CLUSTER}/node/n${each}`;
    lines.push(
      `mkdir ${node}`,
      `echo ${PORT} > ${node}/ipv4_port`,
      `echo ${nodeAddress(each)} > ${node}/ipv4_address`,
      `echo ${each} > ${node}/num`,
    );
    if (each === id) lines.push(`echo 1 > ${node}/local`);
  }
  lines.push(
    `mkdir ${REGION}`,
    `echo ${HEARTBEAT_BLOCK} > ${REGION}/block_bytes`,
    `echo ${HEARTBEAT_START} > ${REGION}/start_block`,
    `echo ${HEARTBEAT_BLOCKS} > ${REGION}/blocks`,
    // The kernel takes the disk as a descriptor of whoever writes this.
    'exec 7<>/dev/vdb',
    `echo 7 > ${REGION}/dev`,
    'mount -t ocfs2_dlmfs none /dlm',
  );
  return lines.join('\n');
}

/** Words of a file of debugfs that lists node numbers. */
const lists = (file: string, id: number): string => `grep -qw ${id} ${DEBUG}/${file}`;

/** Waits until a node sees all these beating, and has a connection to each of them but itself. */
function seenCommand(id: number, members: readonly number[]): string {
  const conditions = members.flatMap((member) => [
    lists('o2hb/livenodes', member),
    ...(member === id ? [] : [lists('o2net/connected_nodes', member)]),
  ]);
  return `until ${conditions.join(' && ')}; do sleep 0.1; done`;
}

/** See the top of this file. */
export class O2cbMembership implements Membership {
  readonly #count: number;
  readonly #disk: string;
  readonly #members = new Map<number, GuestNode>();

  /**
   * @param count how many nodes the cluster has.
   * @param disk the image of the disk that they share.
   */
  constructor(count: number, disk: string) {
    this.#count = count;
    this.#disk = disk;
  }

  async form(nodes: readonly GuestNode[]): Promise<void> {
    await Promise.all(nodes.map((node) => this.#start(node)));
    await this.#allSeen();
  }

  async rejoin(node: GuestNode): Promise<void> {
    await this.#start(node);
    await this.#allSeen();
  }

  /** Resolves when every survivor has taken the nodes for dead; o2dlm's recovery follows. */
  async evict(ids: readonly number[]): Promise<void> {
    const gone = ids.filter((id) => this.#members.delete(id));
    for (const id of gone) await declareDead(this.#disk, id);
    const conditions = gone.map((id) => `! ${lists('o2hb/livenodes', id)}`);
    if (conditions.length === 0) return;
    const command = `until ${conditions.join(' && ')}; do sleep 0.05; done`;
    await Promise.all([...this.#members.values()].map((node) => node.exec(command)));
  }

  close(): Promise<void> {
    this.#members.clear();
    return Promise.resolve();
  }

  async #start(node: GuestNode): Promise<void> {
    await node.exec(startCommand(node.id, this.#count));
    this.#members.set(node.id, node);
  }

  async #allSeen(): Promise<void> {
    const members = [...this.#members.keys()];
    await Promise.all(
      [...this.#members.values()].map((node) => node.exec(seenCommand(node.id, members))),
    );
  }
}
