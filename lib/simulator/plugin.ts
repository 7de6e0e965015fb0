/** The cluster stack of one life of a simulated node: the stacks' own operations, on a simulation. */
import { constants } from 'node:os';

import { DlmError } from '../errors.js';
import type { StackPlugin } from '../stackglue/plugin.js';
import { createOperations as createO2cbOperations } from '../stacks/o2cb/operations.js';
import { SimulatedConnection } from './connection.js';
import type { World } from './world.js';

/** What a plugin tells the life that it belongs to. */
export interface PluginOwner {
  hasEnded(): boolean;
  add(connection: SimulatedConnection): void;
  /** A handler threw. */
  fail(error: unknown): void;
}

/** The plugin `o2cb` of node `node`. */
export function createSimulatedPlugin(world: World, node: number, owner: PluginOwner): StackPlugin {
  const operations = createO2cbOperations((options, batch, onEvents, onClosed) => {
    const connection = new SimulatedConnection(world, node, options.domain, options, {
      batch,
      onEvents,
      onClosed,
    });
    if (connection.joinStatus === 0) owner.add(connection);
    return connection;
  }, node);
  return Object.freeze({
    name: 'o2cb',
    scope: 'process' as const,
    operations: {
      ...operations,
      async connect(connection) {
        if (owner.hasEnded()) throw nodeDown(node, connection.name);
        connection.onHandlerError = (error) => owner.fail(error);
        await operations.connect(connection);
      },
    },
  } satisfies StackPlugin);
}

function nodeDown(node: number, group: string): DlmError {
  return new DlmError('ERR_DLM_CONNECT', `Node ${node} is down`, {
    op: 'connect',
    resource: group,
    errno: constants.errno.EPERM,
  });
}
