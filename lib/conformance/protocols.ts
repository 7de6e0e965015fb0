/** Joining with different protocol versions. No node is connected before and after. */
import assert from 'node:assert/strict';

import type { NodeDriver } from './driver.js';
import type { Suite, ThreeNodes } from './suite.js';

type Version = [number, number];

/** Every order of three things. */
const ORDERS = [
  [0, 1, 2],
  [0, 2, 1],
  [1, 0, 2],
  [1, 2, 0],
  [2, 0, 1],
  [2, 1, 0],
] as const;

const VERSIONS: readonly (readonly [Version, Version, Version])[] = [
  [
    [1, 0],
    [1, 1],
    [1, 2],
  ],
  [
    [1, 0],
    [2, 0],
    [1, 3],
  ],
];

const GROUP = 'protocol';
const ON = 'protocol';

/** What nodes of different versions agree on; `errno` is that of those who may not join. */
export function protocolBehaviours(suite: Suite, errno: number): void {
  const join = (node: NodeDriver, version: Version): Promise<Version> =>
    node.connect(suite.stackName, GROUP, version, { on: ON });

  /** Joins the nodes in that order and checks what each is told; then all leave. */
  async function joinInOrder(
    nodes: ThreeNodes,
    order: (typeof ORDERS)[number],
    versions: (typeof VERSIONS)[number],
  ): Promise<void> {
    const running = versions[order[0]];
    const joined: NodeDriver[] = [];
    for (const index of order) {
      const node = nodes[index];
      const version = versions[index];
      if (version[0] === running[0] && version[1] >= running[1]) {
        assert.deepEqual(await join(node, version), running, 'the version that the group runs at');
        joined.push(node);
      } else {
        await assert.rejects(
          join(node, version),
          { code: 'ERR_DLM_PROTOCOL', errno },
          `joining with ${version.join('.')} a group at ${running.join('.')}`,
        );
      }
    }
    for (const node of joined) await node.disconnect(ON);
  }

  for (const versions of VERSIONS) {
    const names = versions.map((version) => version.join('.')).join(', ');
    suite.test(
      `a group runs at the version of the node that was first, of ${names}, in every order`,
      async (nodes) => {
        for (const order of ORDERS) await joinInOrder(nodes, order, versions);
      },
    );
  }

  suite.test('all agree on one version when they join at once', async (nodes) => {
    const versions = await Promise.all(nodes.map((node) => join(node, [3, 7])));
    for (const version of versions) assert.deepEqual(version, [3, 7]);
    await Promise.all(nodes.map((node) => node.disconnect(ON)));
  });
}
