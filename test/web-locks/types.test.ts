/** The types fit where those of the DOM are wanted, and the other way round. */
import { expect } from 'chai';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const packageRoot = fileURLToPath(new URL('../../..', import.meta.url));

const WITH_DOM = `
import type { Lockspace } from 'stackglue';
import {
  webLocks, type WebLock, type WebLockInfo, type WebLockManager, type WebLockManagerSnapshot, type WebLockMode,
  type WebLockOptions,
} from 'stackglue/web-locks';
declare const ls: Lockspace;
const locks: LockManager = webLocks(ls) satisfies LockManager;
const ours: WebLockManager = navigator.locks;
export const result: Promise<number> = locks.request('name', async (lock) => lock?.name.length ?? 0);
export const other: Promise<string> = ours.request('name', { steal: true }, () => 'text');
export type Both = [
  LockInfo extends WebLockInfo ? WebLockInfo extends LockInfo ? true : never : never,
  LockOptions extends WebLockOptions ? WebLockOptions extends LockOptions ? true : never : never,
  LockMode extends WebLockMode ? WebLockMode extends LockMode ? true : never : never,
  LockManagerSnapshot extends WebLockManagerSnapshot ? true : never,
];
export const both: Both = [true, true, true, true];
export const lock = (its: Lock): WebLock => its;
`;
const WITHOUT_DOM = `
import { openLockspace } from 'stackglue';
import { webLocks } from 'stackglue/web-locks';
const locks = webLocks(await openLockspace('typed', { stack: 'emulated' }));
export const size: number = await locks.request('name', { mode: 'shared', ifAvailable: true }, async (lock) => {
  // @ts-expect-error -- it is null when it cannot be had
  lock.name;
  return lock === null ? 0 : lock.name.length;
});
// @ts-expect-error -- no such mode
await locks.request('name', { mode: 'write' }, () => 1);
export const names = (await locks.query()).held?.map(({ name }) => name);
`;

describe('types of web locks', () => {
  for (const [title, source, lib] of [
    ['beside those of the DOM', WITH_DOM, ['es2023', 'dom']],
    ['without them', WITHOUT_DOM, ['es2023']],
  ] as const) {
    it(title, () => {
      const consumer = mkdtempSync(join(tmpdir(), 'stackglue-web-locks-'));
      try {
        mkdirSync(join(consumer, 'node_modules'));
        symlinkSync(packageRoot, join(consumer, 'node_modules/stackglue'));
        symlinkSync(
          join(packageRoot, 'node_modules/@types'),
          join(consumer, 'node_modules/@types'),
        );
        writeFileSync(join(consumer, 'package.json'), '{ "type": "module" }');
        writeFileSync(join(consumer, 'main.ts'), source);
        const compilerOptions = {
          ...{ module: 'nodenext', target: 'es2022', lib, strict: true, noEmit: true },
          ...{ exactOptionalPropertyTypes: true, skipLibCheck: true },
          types: lib.includes('dom' as never) ? [] : ['node'],
        };
        writeFileSync(join(consumer, 'tsconfig.json'), JSON.stringify({ compilerOptions }));
        const tsc = join(packageRoot, 'node_modules/typescript/bin/tsc');
        const { status, stdout } = spawnSync(process.execPath, [tsc, '-p', consumer], {
          encoding: 'utf8',
        });
        expect(status, stdout).to.equal(0);
      } finally {
        rmSync(consumer, { recursive: true });
      }
    });
  }
});
