/**
 * The agent of test/support/node-agent-main.ts in a process whose memory is full of a pattern: before
 * each command the stack below this call and much of the heap are painted with it. A request with a
 * byte that nobody has set would carry the pattern to other nodes.
 */
import { accessSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { runNodeAgent } from '../support/node-agent.js';
import { PATTERN } from './pattern.js';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Node copies a short path to the stack, up to some 1000 bytes of it. */
const PATH = PATTERN.repeat(120);
const DEPTH = 40;

function paintStack(depth: number): void {
  try {
    accessSync(PATH);
  } catch {
    // Of course there is no such file.
  }
  if (depth > 0) paintStack(depth - 1);
}

/** What stays, and what is given back to the allocator as it is. */
const kept: unknown[] = [];

function paintHeap(): void {
  for (let size = 16; size <= 8192; size += 48) {
    const painted = Buffer.allocUnsafeSlow(size).fill(PATTERN);
    if (size % 64 === 0) kept.push(painted, painted.toString('latin1'));
  }
  collect();
}

let commands = 0;

function paint(): void {
  commands += 1;
  // A collection takes a while; what it frees serves for many commands.
  if (commands % 50 === 1) paintHeap();
  paintStack(DEPTH);
}

await runNodeAgent(paint);
