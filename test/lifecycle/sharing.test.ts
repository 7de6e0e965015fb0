/** Nodes of one simulated cluster meet wherever they are in the process. */
import { expect } from 'chai';
import { once } from 'node:events';
import { cpSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';

import { runChild } from './run-child.js';

const packageRoot = fileURLToPath(new URL('../../..', import.meta.url));

describe('one simulated cluster', () => {
  it("lets a lock of one worker block another worker's", async () => {
    const log: string[] = [];
    const start = (name: string, number: number) => {
      const worker = new Worker(new URL('children/sharing-worker.js', import.meta.url), {
        workerData: { number, cluster: `sharing-${process.pid}` },
      });
      let wanted: { event: string; found: () => void } | undefined;
      worker.on('message', (event: string) => {
        log.push(`${name} ${event}`);
        if (wanted?.event === event) wanted.found();
      });
      const hears = (event: string) =>
        new Promise<void>((found, lost) => {
          wanted = { event, found };
          worker.once('error', lost);
        });
      return { worker, hears };
    };
    const a = start('a', 1);
    await a.hears('ready');
    const b = start('b', 2);
    await b.hears('ready');

    a.worker.postMessage('lock');
    await a.hears('granted');
    const isBlocking = a.hears('blocking');
    b.worker.postMessage('lock');
    await isBlocking;
    const isUnlocked = a.hears('unlocked');
    const isGranted = b.hears('granted');
    a.worker.postMessage('unlock');
    await Promise.all([isUnlocked, isGranted]);
    expect(log.slice(0, 4)).to.deep.equal(['a ready', 'b ready', 'a granted', 'a blocking']);
    expect(log.slice(4)).to.have.members(['a unlocked', 'b granted']);
    for (const { worker } of [a, b]) {
      worker.postMessage('disconnect');
      expect(await once(worker, 'exit')).to.deep.equal([0]);
    }
  });

  it('is shared by two copies of the package that use the same addon', async () => {
    const copy = mkdtempSync(join(tmpdir(), 'stackglue-copy-'));
    try {
      cpSync(join(packageRoot, 'dist/lib'), join(copy, 'dist/lib'), { recursive: true });
      for (const name of ['build', 'node_modules'])
        symlinkSync(join(packageRoot, name), join(copy, name));
      cpSync(join(packageRoot, 'package.json'), join(copy, 'package.json'));
      const exit = await runChild(new URL('children/copies.js', import.meta.url), [copy]).exit;
      expect(exit, exit.output).to.include({ code: 0, signal: null });
      expect(JSON.parse(exit.stdout)).to.deep.equal([
        'granted to the first',
        'blocking',
        'granted to the second',
      ]);
    } finally {
      rmSync(copy, { recursive: true });
    }
  });
});
