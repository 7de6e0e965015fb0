/** The tarball on a Debian that has only what every Debian has: no compiler, make or python3, and no network. */
import { expect } from 'chai';
import { copyFileSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { ownTarget } from '../../lib/addon-place.js';
import { pack } from '../../scripts/release/pack.js';
import { buildOnce } from '../../scripts/vm/cached.js';
import { withLock } from '../../scripts/vm/lock.js';
import { archiveOfHost } from '../../scripts/vm/package-lists.js';
import { PROJECT_ROOT } from '../../scripts/vm/paths.js';
import { findTool, runTool } from '../../scripts/vm/tools.js';
import { skipBecause } from '../support/skip.js';
import { consumerIn, MODULE, npm, OF_NPM, prebuildFor } from './consumer.js';
import { run, toolsOrSkip, USED } from './consumer.js';
import { entering, furnish, OWN, whyNoRoom, type Room } from './room.js';

const SUITE = 'bookworm';
const TOOLS = ['node', 'npm'];
/** Of the folder with what npm would download, and of the tarball. */
const [CACHE, TARBALL] = ['npm-cache', 'stackglue.tgz'];
const COMPILERS = ['gcc', 'g++', 'cc', 'c++', 'clang', 'make', 'python3', 'node-gyp'];
const USERS = { root: 0, 'an ordinary user': 1000 };

/** The first program of the README, and what it prints. */
const FIRST = /```js\n(\/\/ first\.mjs: STACKGLUE_USER=emulated .*?)```/s;
const FIRST_PRINTS = 'EX on inode/42 is ours\n42\n';

/** The keeper has been started, and has found out. */
const REFUSED = `import { openLockspace } from 'stackglue';
await openLockspace('packed', { stack: 'user' }).catch(({ code }) => console.log(code));
`;

/** Debian's essential packages and apt, as a root folder; downloaded once. */
async function bareDebian(): Promise<string> {
  const folder = join(PROJECT_ROOT, '.cache', 'bare-debian', SUITE);
  await withLock(`${folder}.lock`, () =>
    buildOnce(folder, async (work) => {
      const archive = join(work, 'all.tar');
      // Debian's own where this host has another one.
      const mirror = await archiveOfHost().catch(() => undefined);
      await runTool('mmdebstrap', [
        ...['--variant=minbase', '--dpkgopt=force-unsafe-io', SUITE, archive],
        ...(mirror === undefined ? [] : [mirror]),
      ]);
      // Devices and owners take root, and are of no use here.
      await runTool('tar', ['-xf', archive, '-C', work, '--no-same-owner', '--exclude=./dev/*']);
      await rm(archive);
      furnish(work, TOOLS);
    }),
  );
  return folder;
}

describe('the packed tarball on a bare Debian 12', () => {
  let folder = '';
  let tarball = '';
  let bare: Omit<Room, 'own'>;

  before(async function () {
    const tools = await toolsOrSkip(this);
    const reason =
      findTool('mmdebstrap') === undefined
        ? 'mmdebstrap is missing (apt-get install mmdebstrap)'
        : whyNoRoom();
    if (reason !== undefined) skipBecause(this, reason);
    const root = await bareDebian().catch((error: unknown) =>
      skipBecause(this, `there is no bare Debian here: ${(error as Error).message}`),
    );
    await prebuildFor(ownTarget());
    folder = mkdtempSync(join(tmpdir(), 'stackglue-bare-'));
    ({ path: tarball } = await pack(folder));
    const node = join(tools, `node-${OF_NPM}`);
    // There is no network there: what the tarball needs comes along.
    run(consumerIn(join(folder, 'outside')), join(node, 'bin/node'), [
      ...[join(tools, 'npm/bin/npm-cli.js'), ...npm(tarball), '--ignore-scripts'],
      ...['--cache', join(folder, CACHE)],
    ]);
    bare = {
      root,
      tools: { node, npm: join(tools, 'npm') },
      env: { PATH: '/opt/node/bin:/usr/sbin:/usr/bin:/sbin:/bin', HOME: '/tmp' },
    };
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  for (const [user, uid] of Object.entries(USERS)) {
    /** Runs a command there, with files of its own. */
    const there = (own: string, command: readonly string[], env = {}): string =>
      run(folder, 'bwrap', [
        ...entering({ ...bare, own, env: { ...bare.env, ...env } }, uid, command),
      ]);

    it(`has no program there that compiles, for ${user}`, () => {
      const own = consumerIn(join(folder, `nothing-${uid}`));
      const look = 'for tool in "$@"; do command -v "$tool"; done; id -u; cat /etc/debian_version';
      const found = there(own, ['sh', '-c', look, 'sh', ...COMPILERS]);
      expect(found).to.match(new RegExp(`^${uid}\\n12\\.\\d+\\n$`));
    });

    for (const [how, option] of [
      ['with no script run', ['--ignore-scripts']],
      ['with all that npm 12 does by itself', []],
    ] as const) {
      it(`is installed by ${user} ${how}, and locks`, () => {
        const own = consumerIn(join(folder, `own-${uid}-${option.length}`));
        cpSync(join(folder, CACHE), join(own, CACHE), { recursive: true });
        copyFileSync(tarball, join(own, TARBALL));
        there(own, [
          ...['node', '/opt/npm/bin/npm-cli.js', ...npm(join(OWN, TARBALL)), ...option],
          ...['--offline', '--cache', join(OWN, CACHE)],
        ]);

        const [, first] = FIRST.exec(readFileSync(join(PROJECT_ROOT, 'README.md'), 'utf8')) ?? [];
        if (first === undefined) throw new Error('The README has no first program any more');
        writeFileSync(join(own, 'first.mjs'), first);
        const emulated = { STACKGLUE_USER: 'emulated' };
        expect(there(own, ['node', 'first.mjs'], emulated)).to.equal(FIRST_PRINTS);

        writeFileSync(join(own, 'main.mjs'), MODULE);
        expect(there(own, ['node', 'main.mjs'])).to.equal(USED);

        writeFileSync(join(own, 'refused.mjs'), REFUSED);
        expect(there(own, ['node', 'refused.mjs'])).to.equal('ERR_DLM_NO_LIBRARY\n');
      });
    }
  }
});
