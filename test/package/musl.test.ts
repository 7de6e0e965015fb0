/** The tarball where the only libc is musl. */
import { expect } from 'chai';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import type { Readable } from 'node:stream';

import { ownTarget } from '../../lib/addon-place.js';
import { OpenFailure } from '../../lib/native.js';
import { pack } from '../../scripts/release/pack.js';
import { PROJECT_ROOT } from '../../scripts/vm/paths.js';
import { skipBecause } from '../support/skip.js';
import { consumerIn, MODULE, npm, prebuildFor, run, toolsOrSkip, USED } from './consumer.js';
import { muslRoom, whyNoMusl } from './musl.js';
import { entering, OWN, whyNoRoom, type Room } from './room.js';

const TARGET = 'linuxmusl-x64';
const INSTALLED = 'node_modules/stackglue/prebuilds';

/** `KeeperReport` of native/kernel/keeper_protocol.h, as far as a refusal fills it in. */
const REPORT = { kind: 0, failed: 1, code: 4, text: 36 } as const;

/** Which addons the process has in its memory. */
const MAPPED = `import { readFileSync } from 'node:fs';
${MODULE}
const maps = readFileSync('/proc/self/maps', 'utf8');
console.log([...new Set(maps.match(/[^/]+\\/stackglue\\.node$/gm))].join());
console.log([...new Set(maps.match(/\\/ld-\\S+|\\/libc\\.\\S+/g))].join());
`;

describe('the packed tarball on musl', () => {
  let folder = '';
  let room: Room;

  before(async function () {
    await toolsOrSkip(this);
    const reason = whyNoRoom() ?? (await whyNoMusl());
    if (reason !== undefined) skipBecause(this, reason);
    // Both, so that there is a choice.
    for (const target of [ownTarget(), TARGET]) await prebuildFor(target);
    folder = mkdtempSync(join(tmpdir(), 'stackglue-musl-'));
    const own = consumerIn(join(folder, 'own'));
    const { path } = await pack(folder);
    run(own, 'npm', [...npm(path), '--ignore-scripts']);
    room = { ...(await muslRoom(folder)), own };
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  it('takes the addon for musl, and locks', () => {
    writeFileSync(join(room.own, 'main.mjs'), MAPPED);
    const told = run(folder, 'bwrap', entering(room, 0, ['bun', 'main.mjs']));
    expect(told).to.equal(`${USED}${TARGET}/stackglue.node\n/ld-musl-x86_64.so.1\n`);
  });

  it('has a keeper that starts, and refuses an addon of another version by its own', async () => {
    const keeper = join(OWN, INSTALLED, TARGET, 'stackglue-keeper');
    const child = spawn('bwrap', entering(room, 0, [keeper, 'packed', 'of-another', 'stays']), {
      stdio: ['ignore', 'inherit', 'inherit', 'pipe'],
    });
    const [report] = await Promise.all([
      buffer(child.stdio[3] as unknown as Readable),
      once(child, 'exit'),
    ]);
    expect(report.readUInt32LE(REPORT.kind)).to.equal(REPORT.failed);
    expect(report.readInt32LE(REPORT.code)).to.equal(OpenFailure.otherKeeper);
    const text = report.toString('latin1', REPORT.text).replace(/\0.*$/s, '');
    const manifest = readFileSync(join(PROJECT_ROOT, 'package.json'), 'utf8');
    expect(text).to.equal((JSON.parse(manifest) as { version: string }).version);
  });
});
