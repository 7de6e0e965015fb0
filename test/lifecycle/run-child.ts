/** Runs a script of ours as a process of its own, and speaks to it by IPC. */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** How a process ended. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  /** All that it printed, for messages of failed tests. */
  readonly output: string;
}

/** A running process. */
export interface Child {
  readonly pid: number;
  /** Settles when it has ended and all its output has come. */
  readonly exit: Promise<Exit>;
  /** The next message that it has sent; rejects if it ends without one. */
  message(): Promise<unknown>;
  send(message: string): void;
  kill(signal: NodeJS.Signals): void;
  /** Closes the IPC channel, which keeps the child alive as long as it listens to it. */
  disconnect(): void;
}

/** Starts `script`, a file URL of a compiled module; `env` is added to the environment. */
export function runChild(
  script: URL,
  args: string[] = [],
  execArgv: string[] = [],
  env: Record<string, string> = {},
): Child {
  const child = fork(fileURLToPath(script), args, {
    execArgv,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  let stdout = '';
  let output = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    output += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (output += text));

  const messages: unknown[] = [];
  const waiting: { found: (message: unknown) => void; lost: (error: Error) => void }[] = [];
  child.on('message', (message) => {
    const first = waiting.shift();
    if (first === undefined) messages.push(message);
    else first.found(message);
  });
  let ended: Exit | undefined;
  const lost = ({ code, signal }: Exit) =>
    new Error(`the child ended (${code ?? signal}) without a message:\n${output}`);
  const exit = new Promise<Exit>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      ended = { code, signal, stdout, output };
      for (const waiter of waiting.splice(0)) waiter.lost(lost(ended));
      resolve(ended);
    });
  });
  return {
    pid: child.pid ?? 0,
    exit,
    message: () =>
      new Promise((found, reject) => {
        if (messages.length > 0) found(messages.shift());
        else if (ended !== undefined) reject(lost(ended));
        else waiting.push({ found, lost: reject });
      }),
    send: (message) => void child.send(message),
    kill: (signal) => void child.kill(signal),
    disconnect: () => child.disconnect(),
  };
}
