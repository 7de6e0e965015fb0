/** The nodes of an emulated cluster: who is in a group, who comes and who goes. */
import { expect } from 'chai';

import { DlmLksb } from '../../lib/glue.js';
import { EMULATED_O2CB, EMULATED_USER } from '../support/world.js';
import { WatchedNode, type EmulatedStack } from './watched-node.js';

/** The stacks, each with the lowest number that it has for a node. */
const STACKS: readonly (readonly [title: string, stack: EmulatedStack, first: number])[] = [
  ['o2cb', { stackName: 'o2cb', ...EMULATED_O2CB }, 0],
  ['user', { stackName: 'pcmk', ...EMULATED_USER }, 1],
];

for (const [title, stack, first] of STACKS) {
  describe(`nodes of the emulated stack ${title}`, () => {
    let tests = 0;
    let cluster: string;
    let a: WatchedNode, b: WatchedNode;
    const node = (number: number): WatchedNode => new WatchedNode(stack, number, cluster);

    beforeEach(async () => {
      tests += 1;
      cluster = `${title}-nodes-${process.pid}-${tests}`;
      b = await node(2).connect();
      a = await node(first).connect();
      expect(await b.told(1)).to.deep.equal([`memberJoined ${first}`]);
    });
    afterEach(async () => {
      for (const each of [a, b]) await each.disconnect();
    });

    it('are all on this machine, which the scope says', () => {
      expect(a.connection.scope).to.equal('process');
      expect(a.glue.clusterThisNode(a.connection)).to.equal(first);
    });

    it('are in one membership, which moves with nodes and not with processes', async () => {
      const before = a.ring();
      expect(before > 0n).to.equal(true);
      expect(b.ring()).to.equal(before);
      const again = node(2);
      await again.connect();
      await again.disconnect();
      await b.disconnect();
      await a.disconnect();
      b = await node(2).connect();
      expect(b.ring(), 'though nobody was there meanwhile').to.equal(before);
      a = await node(first).connect();
      expect(a.ring()).to.equal(before);
      stack.kill(first, cluster);
      expect(b.ring(), 'before it has been told').to.equal(before);
      expect((await b.told(2)).at(-1)).to.equal(`died ${first}`);
      expect(b.ring()).to.equal(before + 1n);
      expect(a.glue.clusterMembership(a.connection)).to.equal(undefined);
      const third = await node(3).connect();
      expect(await b.told(1)).to.deep.equal(['memberJoined 3']);
      expect(b.ring()).to.equal(before + 2n);
      await third.disconnect();
      expect(await b.told(1)).to.deep.equal(['memberLeft 3']);
      expect(b.ring()).to.equal(before + 2n);
      expect(b.rings).to.deep.equal([before, before + 1n, before + 2n, before + 2n]);
    });

    it('know each other, by number', () => {
      expect(a.glue.clusterMembers(a.connection)).to.deep.equal([
        { node: first, name: undefined, addresses: [] },
        { node: 2, name: undefined, addresses: [] },
      ]);
    });

    it('are told of one that leaves with its last connection, before the grant that it leads to', async () => {
      const twin = await node(first).connect();
      expect(a.ask(new DlmLksb())).to.equal(0);
      expect(await a.told(1)).to.deep.equal(['granted']);
      expect(b.ask(new DlmLksb())).to.equal(0);
      expect(await a.told(1)).to.deep.equal(['blocking']);
      await twin.disconnect();
      await a.disconnect();
      expect(await b.told(2)).to.deep.equal([`memberLeft ${first}`, 'granted']);
      expect(b.members()).to.deep.equal([2]);
      a = await node(first).connect();
      expect(await b.told(1)).to.deep.equal([`memberJoined ${first}`]);
    });

    it('are told of one that dies by the recovery handler alone, before the grant', async () => {
      expect(a.ask(new DlmLksb())).to.equal(0);
      expect(await a.told(1)).to.deep.equal(['granted']);
      expect(b.ask(new DlmLksb())).to.equal(0);
      expect(await a.told(1)).to.deep.equal(['blocking']);
      stack.kill(first, cluster);
      expect(await b.told(2)).to.deep.equal([`died ${first}`, 'granted']);
      expect(b.members()).to.deep.equal([2]);
      expect(a.members()).to.deep.equal([]);
    });
  });
}
