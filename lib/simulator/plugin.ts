/** The cluster stack of one life of a simulated node: the stacks' own operations, on a simulation. */
import { constants } from 'node:os';

import { DlmError } from '../errors.js';
import type { StackClock, StackOperations, StackPlugin } from '../stackglue/plugin.js';
import { O2CB_FEATURES } from '../stacks/o2cb/features.js';
import { createOperations as createO2cbOperations } from '../stacks/o2cb/operations.js';
import { userFeatures } from '../stacks/user/features.js';
import type { LockspaceSource } from '../stacks/user/link.js';
import { createOperations as createUserOperations } from '../stacks/user/operations.js';
import { SimulatedConnection } from './connection.js';
import { SimulatedUserConnection } from './user-connection.js';
import type { World } from './world.js';

/** What a plugin tells the life that it belongs to. */
export interface PluginOwner {
  hasEnded(): boolean;
  add(connection: SimulatedConnection): void;
  /** A handler threw. */
  fail(error: unknown): void;
}

/** The plugin of node `node`: `o2cb` or, with the rules of fs/dlm, `user`. */
export function createSimulatedPlugin(
  world: World,
  node: number,
  clock: StackClock,
  owner: PluginOwner,
): StackPlugin {
  const pluginOf = (stack: Pick<StackPlugin, 'name' | 'features' | 'operations'>): StackPlugin => ({
    ...stack,
    scope: 'process',
    clock,
    operations: {
      ...stack.operations,
      async connect(connection, signal) {
        if (owner.hasEnded()) throw nodeDown(node, connection.name);
        connection.onHandlerError = (error) => owner.fail(error);
        await stack.operations.connect(connection, signal);
      },
    },
  });
  if (world.profile === 'o2dlm') {
    const operations = o2cbOperations(world, node, owner);
    return Object.freeze(pluginOf({ name: 'o2cb', features: O2CB_FEATURES, operations }));
  }
  const userPlugin = (detectDeadlocks: boolean): StackPlugin =>
    pluginOf({
      name: 'user',
      features: userFeatures(detectDeadlocks),
      operations: userOperations(world, node, owner, detectDeadlocks),
    });
  // Not copied along by who wraps the plugin's operations: it would have others.
  const value = Object.freeze(userPlugin(true));
  return Object.freeze(
    Object.defineProperty(userPlugin(false), 'withDeadlockDetection', { value }),
  );
}

function o2cbOperations(world: World, node: number, owner: PluginOwner): StackOperations {
  return createO2cbOperations(
    (options, batch, onEvents, onState) => {
      const ends = {
        batch,
        onEvents,
        onClosed: () => onState('closed', 0, 0),
        onNotice: (notice: number, about: number) => onState('notice', notice, about),
      };
      const connection = new SimulatedConnection(world, node, options.domain, options, ends);
      if (connection.joinStatus === 0) owner.add(connection);
      return connection;
    },
    node,
    false,
  );
}

function userOperations(
  world: World,
  node: number,
  owner: PluginOwner,
  detectDeadlocks: boolean,
): StackOperations {
  const source: LockspaceSource = {
    open: (name, batch, onEvents, onState) => {
      const connection = new SimulatedUserConnection(world, node, name, batch, onEvents, onState);
      if (connection.joinStatus === 0) owner.add(connection);
      return connection;
    },
    needsKeeper: false,
    answersAtOnce: false,
  };
  // Its end is there at once, and no other time would be the simulation's.
  return createUserOperations(source, {
    connectTimeoutMs: 0,
    disconnectTimeoutMs: 0,
    detectDeadlocks,
  });
}

function nodeDown(node: number, group: string): DlmError {
  return new DlmError('ERR_DLM_CONNECT', `Node ${node} is down, or this process of it has ended`, {
    op: 'connect',
    resource: group,
    errno: constants.errno.EPERM,
  });
}
