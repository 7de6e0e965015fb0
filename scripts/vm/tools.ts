/** Running the host's programs. */

import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants, createWriteStream } from 'node:fs';
import { delimiter, join } from 'node:path';
import { pipeline } from 'node:stream/promises';

import { VmError } from './errors.js';

/** Administrators' folders are not on every user's path, but mke2fs lives in one. */
const PATH = [process.env.PATH ?? '', '/usr/local/sbin', '/usr/sbin', '/sbin'].join(delimiter);

/** The full path of a program, or undefined when the host has none of that name. */
export function findTool(name: string): string | undefined {
  for (const folder of PATH.split(delimiter)) {
    const path = join(folder, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not in this folder.
    }
  }
  return undefined;
}

/**
 * Runs a program to its end and resolves to its standard output.
 *
 * @throws {VmError} `build`, with the command and what it printed, when it fails.
 */
export function runTool(
  program: string,
  args: readonly string[],
  options: { cwd?: string } = {},
): Promise<string> {
  const env = { ...process.env, PATH, LC_ALL: 'C' };
  return new Promise((resolve, reject) => {
    execFile(
      program,
      args,
      { ...options, env, maxBuffer: 256 * 1024 * 1024 },
      (error, stdout, stderr) => {
        if (!error) {
          resolve(stdout);
          return;
        }
        const command = [program, ...args].join(' ');
        const said = stderr.trim() || stdout.trim() || error.message;
        reject(new VmError('build', `This command failed: ${command}\n${said}`, { cause: error }));
      },
    );
  });
}

/**
 * Writes what a decompressor makes of `data` to a file. Bytes behind the end of the compressed
 * stream are no error: a kernel image has some.
 */
export async function decompress(
  command: readonly [string, ...string[]],
  data: Uint8Array,
  output: string,
): Promise<void> {
  const [program, ...args] = command;
  const child = spawn(program, args, {
    stdio: ['pipe', 'pipe', 'ignore'],
    env: { ...process.env, PATH },
  });
  const ended = once(child, 'close');
  child.stdin.on('error', () => {
    // The decompressor stops reading at the end of its stream.
  });
  child.stdin.end(data);
  await pipeline(child.stdout, createWriteStream(output));
  await ended;
}
