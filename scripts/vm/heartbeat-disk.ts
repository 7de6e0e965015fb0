/**
 * The disk that the nodes of ocfs2's own cluster stack share for their heartbeat: one block for each
 * node, as fs/ocfs2/cluster/ocfs2_heartbeat.h has it. A node writes its block every two seconds, and
 * reads those of the others.
 *
 * The host can declare a node dead in it: a block whose generation has changed says that the node went
 * away and came back, and whoever reads it takes the node for dead at once (o2hb_check_slot()).
 */

import { randomBytes } from 'node:crypto';
import { open } from 'node:fs/promises';
import { crc32 } from 'node:zlib';

/** A block's length, which is a sector's. */
export const HEARTBEAT_BLOCK = 512;
/** The first node's block; o2hb refuses a region that begins at 0. */
export const HEARTBEAT_START = 1;
/** How many blocks a region has: `O2NM_MAX_NODES`. */
export const HEARTBEAT_BLOCKS = 255;

/** Where the fields of a block are, in bytes. All numbers are little-endian. */
const CHECKSUM = 12;
const GENERATION = 16;

/** Makes an empty disk: nobody has ever beaten. */
export async function makeHeartbeatDisk(path: string): Promise<void> {
  const file = await open(path, 'wx');
  try {
    await file.truncate((HEARTBEAT_START + HEARTBEAT_BLOCKS) * HEARTBEAT_BLOCK);
  } finally {
    await file.close();
  }
}

/** `crc32_le(0, ...)`: unlike zlib's, it inverts neither what it starts with nor the result. */
function checksum(block: Buffer): number {
  return ~crc32(block, 0xffff_ffff) >>> 0;
}

/**
 * Declares a node dead that no longer runs. Does nothing when it has never beaten. The next time that
 * it starts its heartbeat it is as good as new.
 */
export async function declareDead(path: string, node: number): Promise<void> {
  const file = await open(path, 'r+');
  try {
    const block = Buffer.alloc(HEARTBEAT_BLOCK);
    const position = (HEARTBEAT_START + node) * HEARTBEAT_BLOCK;
    await file.read(block, 0, HEARTBEAT_BLOCK, position);
    if (block.every((byte) => byte === 0)) return;
    randomBytes(8).copy(block, GENERATION);
    block.writeUInt32LE(0, CHECKSUM);
    block.writeUInt32LE(checksum(block), CHECKSUM);
    await file.write(block, 0, HEARTBEAT_BLOCK, position);
    await file.sync();
  } finally {
    await file.close();
  }
}
