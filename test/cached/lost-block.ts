/** A cached value whose block is lost between two updates, with nobody dead: its resource went with the last lock. */
import { openLockspace } from '../../lib/index.js';
import { freshCluster } from '../stackglue/test-node.js';

/** What a node reads that has cached what was stored before. It is 2, unless a version comes twice. */
export async function readAfterLoss(stack: 'o2cb' | 'emulated'): Promise<number> {
  const cluster = freshCluster();
  let stored = 0;
  const nodes = [];
  for (const node of [1, 2]) {
    const lockspace = await openLockspace('lost', { stack, node, cluster, tokens: true });
    const value = lockspace.cachedValue<number>('v', {
      load: () => stored,
      store: (next) => void (stored = next),
      minHoldMs: 0,
    });
    nodes.push({ lockspace, value });
  }
  const [writer, reader] = nodes as [(typeof nodes)[0], (typeof nodes)[0]];
  try {
    await writer.value.update(() => 1);
    await reader.value.read();
    for (const { lockspace } of nodes) await lockspace.trim();
    await writer.value.update(() => 2);
    return await reader.value.read();
  } finally {
    for (const { lockspace } of nodes) await lockspace.close();
  }
}
