/**
 * What three nodes must see of each other's locks, whatever the stack. Each test uses resources of
 * its own and leaves no lock behind; the last ones kill a node.
 */
import { expect } from 'chai';
import { constants } from 'node:os';

import { DLM_LKF, DLM_LOCK } from '../../lib/index.js';
import type { NodeDriver } from '../support/node-driver.js';
import type { World } from '../support/world.js';

const { NL, PR, EX } = DLM_LOCK;
const { VALBLK, NOQUEUE } = DLM_LKF;
const { EAGAIN } = constants.errno;

/** Takes and drops EX without waiting: true when nobody holds anything on the resource. */
async function isFree(node: NodeDriver, world: World, name: string): Promise<boolean> {
  const result = await node.ask('probe', name, EX, NOQUEUE);
  if (world.traits.noqueueFails === 'in the call' && result === -EAGAIN) return false;
  expect(result).to.equal(0);
  if ((await node.lockAst('probe')).status === -EAGAIN) return false;
  await node.unlock('probe');
  return true;
}

/** Every order of three things. */
const ORDERS = [
  [0, 1, 2],
  [0, 2, 1],
  [1, 0, 2],
  [1, 2, 0],
  [2, 0, 1],
  [2, 1, 0],
] as const;

/** Joining with different versions; no node is connected before and after. */
export function protocolBehaviours(getWorld: () => World): void {
  const GROUP = 'protocol';

  /** Joins the nodes in that order and checks what each is told; then all leave. */
  async function joinInOrder(
    order: (typeof ORDERS)[number],
    versions: readonly [number, number][],
  ): Promise<void> {
    const { nodes, stackName, traits } = getWorld();
    let running: [number, number] | undefined;
    const joined: NodeDriver[] = [];
    for (const index of order) {
      const node = nodes[index];
      const version = versions[index];
      if (version === undefined) throw new RangeError('a version for each node');
      running ??= version;
      const fits = version[0] === running[0] && version[1] >= running[1];
      const outcome = await node.connect(stackName, GROUP, version).then(
        (agreed): unknown => {
          joined.push(node);
          return agreed;
        },
        (error: unknown) => error,
      );
      if (fits) expect(outcome).to.deep.equal(running);
      else expect(outcome).to.include({ code: 'ERR_DLM_PROTOCOL', errno: traits.protocolErrno });
    }
    for (const node of joined) await node.disconnect();
  }

  for (const versions of [
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
  ] as [number, number][][]) {
    const names = versions.map((version) => version.join('.')).join(', ');
    it(`runs a group at the version of the node that was first, of ${names}, in every order`, async () => {
      for (const order of ORDERS) await joinInOrder(order, versions);
    });
  }

  it('agrees on one version when all join at once', async () => {
    const { nodes, stackName } = getWorld();
    const versions = await Promise.all(nodes.map((node) => node.connect(stackName, GROUP, [3, 7])));
    for (const version of versions) expect(version).to.deep.equal([3, 7]);
    await Promise.all(nodes.map((node) => node.disconnect()));
  });
}

/** What the nodes see of each other's locks; connects them, and leaves them connected. */
export function lockBehaviours(getWorld: () => World): void {
  let world: World;
  let a: NodeDriver;
  let b: NodeDriver;
  let c: NodeDriver;
  before(async () => {
    world = getWorld();
    [a, b, c] = world.nodes;
    await Promise.all(world.nodes.map((node) => node.connect(world.stackName, 'behaviours')));
  });

  it('gives each node a number of its own', () => {
    expect(new Set(world.nodes.map((node) => node.number)).size).to.equal(3);
  });

  it('blocks EX behind EX, tells the holder the level, and grants after its unlock', async () => {
    const granted = await a.lock('l', 'ex-behind-ex', EX);
    expect(granted.status).to.equal(0);
    expect(await b.ask('l', 'ex-behind-ex', EX)).to.equal(0);
    expect((await a.blockingAst('l')).level).to.equal(EX);
    const grants = b.history.filter((event) => event.event === 'lockAst').length;
    await a.lock('other', 'ex-behind-ex-other', EX);
    await a.unlock('other');
    expect(b.history.filter((event) => event.event === 'lockAst')).to.have.lengthOf(grants);
    await a.unlock('l');
    expect((await b.lockAst('l')).status).to.equal(0);
    await b.unlock('l');
  });

  it('hands on the value block that an unlock with VALBLK wrote', async () => {
    await a.lock('l', 'lvb-unlock', EX, VALBLK);
    expect(await b.ask('l', 'lvb-unlock', EX, VALBLK)).to.equal(0);
    await a.blockingAst('l');
    await a.unlock('l', { flags: VALBLK, lvb: 'from the unlock' });
    const granted = await b.lockAst('l');
    expect(granted).to.include({ status: 0, lvb: 'from the unlock', lvbValid: true });
    await b.unlock('l');
  });

  it('hands on the value block that a down-conversion with VALBLK wrote', async () => {
    await a.lock('l', 'lvb-convert', EX, VALBLK);
    expect(await b.ask('l', 'lvb-convert', PR, VALBLK)).to.equal(0);
    await a.blockingAst('l');
    expect(
      (await a.convert('l', NL, { flags: VALBLK, lvb: 'from the conversion' })).status,
    ).to.equal(0);
    expect(await b.lockAst('l')).to.include({
      status: 0,
      lvb: 'from the conversion',
      lvbValid: true,
    });
    await b.unlock('l');
    await a.unlock('l');
  });

  it('writes a value block at unlock although the lock was asked for without VALBLK', async () => {
    await c.lock('keep', 'lvb-late', NL);
    await a.lock('l', 'lvb-late', EX);
    await a.unlock('l', { flags: VALBLK, lvb: 'asked for late' });
    expect(await b.lock('l', 'lvb-late', PR, VALBLK)).to.include({ lvb: 'asked for late' });
    await b.unlock('l');
    await c.unlock('keep');
  });

  it('leaves the value block alone at an unlock without VALBLK', async () => {
    await c.lock('keep', 'lvb-kept', NL);
    await a.lock('l', 'lvb-kept', EX, VALBLK);
    await a.unlock('l', { flags: VALBLK, lvb: 'first' });
    await a.lock('m', 'lvb-kept', EX, VALBLK);
    await a.unlock('m', { lvb: 'not meant to be sent' });
    expect(await b.lock('l', 'lvb-kept', PR, VALBLK)).to.include({ lvb: 'first' });
    await b.unlock('l');
    await c.unlock('keep');
  });

  it('shares PR among all three, and keeps EX out until the last one goes', async () => {
    for (const node of [a, b, c]) expect((await node.lock('l', 'shared', PR)).status).to.equal(0);
    expect(await c.ask('w', 'shared', EX)).to.equal(0);
    expect((await a.blockingAst('l')).level).to.equal(EX);
    expect((await b.blockingAst('l')).level).to.equal(EX);
    await a.unlock('l');
    await b.unlock('l');
    await c.blockingAst('l');
    await c.unlock('l');
    expect((await c.lockAst('w')).status).to.equal(0);
    await c.unlock('w');
  });

  it('refuses a NOQUEUE request for a busy resource with EAGAIN, the way the stack does', async () => {
    await a.lock('l', 'busy', EX);
    const result = await b.ask('l', 'busy', EX, NOQUEUE);
    if (world.traits.noqueueFails === 'in the call') {
      expect(result).to.equal(-EAGAIN);
    } else {
      expect(result).to.equal(0);
      expect((await b.lockAst('l')).status).to.equal(-EAGAIN);
    }
    await a.unlock('l');
    expect(await isFree(c, world, 'busy')).to.equal(true);
  });

  it('ends the cancel of a waiter in the unlock AST and leaves no lock behind', async () => {
    await a.lock('l', 'cancelled', EX);
    expect(await b.ask('l', 'cancelled', EX)).to.equal(0);
    await a.blockingAst('l');
    expect(await b.cancel('l')).to.equal(0);
    expect((await b.unlockAst('l')).error).to.equal(0);
    await a.unlock('l');
    expect(await isFree(c, world, 'cancelled')).to.equal(true);
  });

  it('puts a cancelled conversion back into its old mode', async () => {
    await a.lock('l', 'cancelled-conversion', PR);
    await b.lock('l', 'cancelled-conversion', PR);
    expect(await b.command({ do: 'convert', lock: 'l', mode: EX })).to.equal(0);
    await a.blockingAst('l');
    expect(await b.cancel('l')).to.equal(0);
    expect((await b.unlockAst('l')).error).to.equal(0);
    expect((await c.lock('l', 'cancelled-conversion', PR)).status).to.equal(0);
    for (const node of [a, b, c]) await node.unlock('l');
  });

  it('serves waiters first come, first served', async () => {
    await c.lock('sync', 'fifo', NL);
    await a.lock('l', 'fifo', EX);
    expect(await b.ask('l', 'fifo', EX)).to.equal(0);
    await a.blockingAst('l');
    expect(await c.ask('l', 'fifo', EX)).to.equal(0);
    // The master has seen c's request once it has answered the conversion that c sent after it.
    await c.convert('sync', NL);
    await a.unlock('l');
    expect((await b.lockAst('l')).status).to.equal(0);
    await b.unlock('l');
    expect((await c.lockAst('l')).status).to.equal(0);
    await c.unlock('l');
    await c.unlock('sync');
  });
}

/** Kills node `a` while it holds EX; the world has two nodes after this. */
export function deathBehaviours(getWorld: () => World): void {
  it('tells each survivor of a death once, before the waiter is granted', async () => {
    const world = getWorld();
    const [a, b, c] = world.nodes;
    // One resource for each possible master.
    for (const [index, master] of [a, b, c].entries()) {
      await master.lock(`master-${index}`, `death-${index}`, NL);
      await a.lock(`l-${index}`, `death-${index}`, EX);
      expect(await b.ask(`l-${index}`, `death-${index}`, EX)).to.equal(0);
      await a.blockingAst(`l-${index}`);
    }
    const seenBefore = b.history.length;
    await world.kill(a);
    await c.nodeDown(a.number);
    for (const index of [0, 1, 2]) expect((await b.lockAst(`l-${index}`)).status).to.equal(0);

    const after = b.history.slice(seenBefore);
    expect(after[0], 'the first thing that b sees').to.deep.equal({
      event: 'nodeDown',
      node: a.number,
    });
    for (const index of [0, 1, 2]) await b.unlock(`l-${index}`);
    await b.unlock('master-1');
    await c.unlock('master-2');
    // Whatever came late has come once these round trips are over.
    await c.lock('settled', 'death-settled', EX);
    await c.unlock('settled');
    for (const node of [b, c]) {
      expect(node.history.filter((event) => event.event === 'nodeDown')).to.have.lengthOf(1);
    }
  });
}
