/** The page of errors, and what is said of each code. */
import { expect } from 'chai';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { ERROR_KINDS, type DlmErrorCode } from '../../lib/errors.js';
import { DlmError, openLockspace } from '../../lib/index.js';
import { codeOf, rejection } from './worlds.js';

const page = readFileSync(
  fileURLToPath(new URL('../../../lib/locks/ERRORS.md', import.meta.url)),
  'utf8',
);

describe('errors', () => {
  it('have a heading each, and no other', () => {
    const headings = [...page.matchAll(/^## (\S+)$/gm)].map(([, code]) => code);
    expect([...headings].sort()).to.deep.equal(Object.keys(ERROR_KINDS).sort());
  });

  for (const [code, kind] of Object.entries(ERROR_KINDS)) {
    it(`${code} is of the kind that the page says`, () => {
      expect(page).to.match(new RegExp(`^## ${code}\n\n\`${kind}\`\\. `, 'm'));
      const error = new DlmError(code as DlmErrorCode, 'message', { op: 'op' });
      expect(error.kind).to.equal(kind);
      expect(error.isRetryable).to.equal(['busy', 'timeout', 'deadlock'].includes(kind));
    });
  }

  it('openLockspace explains the choice to who names no stack, and refuses what is no option', async () => {
    const none = (await rejection(openLockspace('x', {} as never))) as Error;
    expect(none).to.be.an.instanceOf(TypeError);
    expect(none.message).to.match(/"options.stack".*"user".*"emulated".*"o2cb".*no default/);
    for (const options of [undefined, null, { stack: 'pcmk' }, { stack: {} }]) {
      expect(await rejection(openLockspace('x', options as never))).to.be.an.instanceOf(TypeError);
    }
    const bad = {
      'options.Node': { Node: 1 },
      'options.node': { node: -1 },
      'options.cluster': { cluster: 7 },
      'options.create': { create: 1 },
      'options.submit': { submit: 'looop' },
      'options.mode': { mode: 0o1000 },
      'options.protocol.major': { protocol: { major: 0, minor: 0 } },
      'options.treatUnsureAsLost': { treatUnsureAsLost: 'yes' },
      'options.timeoutMs': { timeoutMs: '1' },
      'options.signal': { signal: 1 },
    };
    for (const [argument, options] of Object.entries(bad)) {
      const opening = openLockspace('x', { stack: 'emulated', ...(options as object) });
      expect(await rejection(opening), argument).to.have.property('argument', argument);
    }
    expect(await rejection(openLockspace(7 as never, { stack: 'o2cb' }))).to.have.property(
      'argument',
      'name',
    );
    expect(await codeOf(openLockspace('plock', { stack: 'emulated' }))).to.equal(
      'ERR_DLM_GROUP_NAME',
    );
    for (const stack of ['o2cb', 'emulated', 'user'] as const) {
      expect(await codeOf(openLockspace('', { stack })), stack).to.equal('ERR_DLM_GROUP_NAME');
    }
  });

  it('an opening can be given up, and is closed when it comes after all', async () => {
    const reason = new Error('enough');
    const aborted = openLockspace('x', { stack: 'o2cb', signal: AbortSignal.abort(reason) });
    expect(await rejection(aborted)).to.equal(reason);
    const controller = new AbortController();
    const opening = openLockspace('late', { stack: 'emulated', signal: controller.signal });
    controller.abort(reason);
    expect(await rejection(opening)).to.equal(reason);
  });

  it('the version of a program is agreed on', async () => {
    const options = { stack: 'o2cb', cluster: 'version-test' } as const;
    const first = await openLockspace('v', { ...options, protocol: { major: 2, minor: 1 } });
    const other = openLockspace('v', { ...options, node: 1 });
    expect(await codeOf(other)).to.equal('ERR_DLM_PROTOCOL');
    await first.close();
  });

  it('a timeout on an emulation says who holds the lock', async () => {
    const options = { stack: 'emulated', cluster: 'holder-test' } as const;
    const a = await openLockspace('h', { ...options, node: 1 });
    const b = await openLockspace('h', { ...options, node: 2 });
    await a.lock('name', 'PR');
    const error = (await rejection(b.lock('name', 'EX', { timeoutMs: 1 }))) as Error;
    expect(error.message).to.contain('held by node 1 (PR)');
    await a.close();
    await b.close();
  });
});
