/** Opens a lockspace of a simulation in the middle of whatever happens to it, as a program does that has to go on. */
import { DlmError, openLockspace, type Lockspace, type LockspaceOptions } from '../../lib/index.js';
import type { NodeContext } from '../../lib/simulator/index.js';

/** Failures of an open that a program has to expect. */
const EXPECTED: readonly string[] = ['ERR_DLM_TIMEOUT', 'ERR_DLM_LOST'];
/** How long an open may take before the program tries anew, and how long it waits before that, milliseconds. */
const OPEN_MS = 500;
const AGAIN_MS = 20;

/** As often as that takes; `onFailure` is called each time that it fails, and `options` for each attempt. */
export async function openAgain(
  name: string,
  node: NodeContext,
  onFailure: () => void,
  options: () => Partial<LockspaceOptions> = () => ({}),
): Promise<Lockspace> {
  for (;;) {
    try {
      return await openLockspace(name, { stack: node.plugin, timeoutMs: OPEN_MS, ...options() });
    } catch (error) {
      if (!(error instanceof DlmError) || !EXPECTED.includes(error.code)) throw error;
      onFailure();
    }
    await node.sleep(AGAIN_MS);
  }
}
