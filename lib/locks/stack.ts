/** From the choice of a stack to a glue of the lockspace's own that has it. */
import {
  createEmulatedUserPlugin,
  createO2cbPlugin,
  createUserPlugin,
  StackGlue,
  type StackPlugin,
} from '../glue.js';
import type { LockspaceOptions } from './options.js';

/** A stack, ready to be connected to. */
export interface Stack {
  readonly glue: StackGlue;
  /** What connections have to name. */
  readonly label: string;
  readonly plugin: StackPlugin;
  /** Where all nodes are in this process: the world that the lockspace is in, by name. */
  readonly world: string | undefined;
}

/** The label of stack `user`; any but `o2cb` would do. */
const USER_LABEL = 'pcmk';

/** The stack that the options choose. Throws for options that it does not take. */
export function createStack(options: LockspaceOptions): Stack {
  const { stack } = options;
  // lib/glue.ts has warned of it, and refused any other value.
  const isEmulated = stack === 'user' && process.env.STACKGLUE_USER === 'emulated';
  const { cluster = 'default' } = options;
  if (stack === 'emulated' || isEmulated) {
    return stackOf(emulatedPlugin(options), `user/${cluster}`);
  }
  if (stack === 'user') return stackOf(userPlugin(options), undefined);
  if (stack === 'o2cb') return stackOf(o2cbPlugin(options), `o2cb/${cluster}`);
  return stackOf(stack.withDeadlockDetection ?? stack, undefined);
}

function stackOf(plugin: StackPlugin, world: string | undefined): Stack {
  const glue = new StackGlue();
  glue.register(plugin);
  const label = plugin.name === 'o2cb' ? 'o2cb' : USER_LABEL;
  glue.clusterStack = label;
  return { glue, label, plugin, world };
}

function userPlugin({ submit, create, mode, timeoutMs }: LockspaceOptions): StackPlugin {
  return createUserPlugin({
    detectDeadlocks: true,
    ...(submit !== undefined && { submit }),
    ...(create !== undefined && { create }),
    ...(mode !== undefined && { mode }),
    // What has been given up is to end, too. 0 would be no limit there.
    ...(timeoutMs !== undefined && { connectTimeoutMs: Math.max(1, Math.ceil(timeoutMs)) }),
  });
}

function emulatedPlugin({ create, node, cluster }: LockspaceOptions): StackPlugin {
  return createEmulatedUserPlugin({
    detectDeadlocks: true,
    ...(create !== undefined && { create }),
    ...(node !== undefined && { node }),
    ...(cluster !== undefined && { cluster }),
  });
}

function o2cbPlugin({ node, cluster }: LockspaceOptions): StackPlugin {
  return createO2cbPlugin({
    ...(node !== undefined && { node }),
    ...(cluster !== undefined && { cluster }),
  });
}
