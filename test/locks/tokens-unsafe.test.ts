/** Fencing tokens: what a process has in mind and has not written is nobody's token. */
import { expect } from 'chai';

import { openLockspace } from '../../lib/index.js';
import { explore, type Profile } from '../../lib/simulator/index.js';
import { LOCKSPACE } from './worlds.js';

const NAME = 'inode/42';

describe('a sequence that is being written', () => {
  for (const profile of ['o2dlm', 'fsdlm'] as const satisfies readonly Profile[]) {
    it(`is not given to another name before: ${profile}`, () =>
      explore({
        seeds: 40,
        profile,
        run: async (simulation) => {
          const open = (plugin: typeof kept): ReturnType<typeof openLockspace> =>
            openLockspace(LOCKSPACE, { stack: plugin, tokens: true });
          const kept = simulation.node(9).plugin;
          const keeper = await open(kept);
          await keeper.pin(NAME);
          // Of an earlier epoch than all that follow.
          await (await keeper.lock(NAME, 'EX')).release();
          // The process ends, and its node stays.
          await open(simulation.node(1).plugin);
          const process = simulation.node(1).spawn();
          const ls = await open(process.plugin);
          ls.lock('takes a sequence', 'EX').catch(() => undefined);
          await simulation.sleep(Math.floor(simulation.random() * 12));
          const token = await new Promise<bigint>((resolve) => {
            void ls.lock(NAME, 'EX').then((lock) => {
              process.end();
              resolve(lock.token);
            });
          });
          const next = await keeper.lock(NAME, 'EX');
          expect(next.token > token, `${next.token} after ${token}`).to.equal(true);
          await next.release();
        },
      }));
  }
});
