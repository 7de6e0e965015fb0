/** Running a command in a guest to its end. */

import type { GuestProcess } from './agent-client.js';
import { HANG_MS, withDeadline } from './deadline.js';

/** What a command that has ended left behind. */
export interface RunResult {
  /** The exit code; 128 and the signal's number when a signal ended the command. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** How a command is run to its end. */
export interface RunOptions {
  /** Standard input; without it the command reads its end at once. */
  input?: string | Uint8Array | undefined;
  /** After so many milliseconds the command is killed. The default is ten minutes. */
  timeoutMs?: number | undefined;
}

/**
 * What a command that has been started comes to; nobody else may read its output.
 *
 * @param description names the node and the command in errors.
 * @throws {VmError} `timeout` with what it has said, after it was killed; `gone` when its node dies meanwhile.
 */
export async function runToEnd(
  child: GuestProcess,
  description: string,
  { input = '', timeoutMs = HANG_MS }: RunOptions = {},
): Promise<RunResult> {
  const output: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => output.push(chunk));
  child.stdin.end(input);
  const stdout = (): string => Buffer.concat(output).toString();
  try {
    const code = await withDeadline(child.exit, timeoutMs, () => {
      const said = `${stdout()}${child.stderrText}`.trim();
      return `${description} did not end in ${timeoutMs} ms. It said: ${said}`;
    });
    return { code, stdout: stdout(), stderr: child.stderrText };
  } finally {
    child.disconnect();
  }
}
