/** The host's side of guest/agent.c: running commands in a guest. */

import { connect, type Socket } from 'node:net';
import { constants } from 'node:os';
import { PassThrough, Writable } from 'node:stream';
import { createInterface } from 'node:readline';

import { HANG_MS } from './deadline.js';
import { VmError, messageOf } from './errors.js';
import { FrameReader, frame } from './framing.js';

/** Types of the agent's messages; guest/agent.c says what they mean. */
const TO_GUEST = {
  command: 'C',
  terminal: 'T',
  input: 'I',
  endOfInput: 'E',
  signal: 'S',
  size: 'W',
};
const FROM_GUEST = { ready: 'R', output: 'O', error: 'E', exit: 'X' };

/** Bytes of input in one message; the agent takes up to a megabyte. */
const INPUT_CHUNK = 64 * 1024;

/** What a new connection waits for, and how often it is tried when it is reset. */
const READY = frame(Buffer.from(FROM_GUEST.ready));
const CONNECT_ATTEMPTS = 5;

/** For each agent's port: the connection that is being made. */
const connecting = new Map<number, Promise<unknown>>();

/**
 * A connection that the agent has said to be ready for. To each agent one is made at a time:
 * QEMU's port forwarding has room for one or two that wait, and loses or resets the others.
 */
function openConnection(port: number): Promise<Socket> {
  const turn = connecting.get(port) ?? Promise.resolve();
  const connection = turn.then(() => connectPatiently(port));
  const settled = connection
    .catch(() => undefined)
    .then(() => {
      if (connecting.get(port) === settled) connecting.delete(port);
    });
  connecting.set(port, settled);
  return connection;
}

/** Tries again what was reset: nothing has been sent on such a connection. */
async function connectPatiently(port: number): Promise<Socket> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await connectOnce(port);
    } catch (error) {
      const isReset = (error as NodeJS.ErrnoException).code === 'ECONNRESET';
      if (!isReset || attempt === CONNECT_ATTEMPTS) throw error;
    }
  }
}

function connectOnce(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, noDelay: true });
    let failure: Error = Object.assign(new Error('reset'), { code: 'ECONNRESET' });
    const ended = (): void => reject(failure);
    socket.setTimeout(HANG_MS, () => {
      failure = new Error('The agent does not answer.');
      socket.destroy();
    });
    socket.on('error', (error) => (failure = error)); // 'close' follows
    socket.once('close', ended);
    socket.on('readable', function take() {
      if (socket.read(READY.length) === null) return;
      socket.off('readable', take);
      socket.off('close', ended);
      socket.setTimeout(0);
      resolve(socket);
    });
  });
}

/** How a command is started. */
export interface SpawnOptions {
  /** Run it on a terminal of this size; standard error then joins standard output. */
  terminal?: { rows: number; columns: number } | undefined;
}

/**
 * A command that runs in a guest.
 *
 * It ends when its own process ends; what that left in the background goes on and is not waited
 * for. Its exit code is that of a shell: 128 and the signal's number when a signal ended it.
 */
export class GuestProcess {
  #socket: Socket | undefined;
  #isGivenUp = false;
  /** What is to be sent once there is a connection. */
  readonly #unsent: [Buffer, ((error?: Error | null) => void) | undefined][] = [];
  readonly #description: string;
  #exitCode: number | undefined;
  #errorText = '';

  /** Standard input. Ending the stream is the end of input. */
  readonly stdin: Writable;
  /** Standard output as bytes. Read it or {@link lines}, not both. */
  readonly stdout = new PassThrough();
  /** Standard error as bytes, for those who want it live; {@link stderrText} keeps all of it. */
  readonly stderr = new PassThrough();
  /**
   * Resolves to the exit code once the command has ended and all its output has been received.
   * Rejects with a {@link VmError} `gone` when the connection ends before, as it does when the
   * node dies. Nobody has to wait for it.
   */
  readonly exit: Promise<number>;

  /**
   * Use `Node.spawn`.
   *
   * @param description names the node and the command in errors.
   */
  constructor(port: number, command: string, description: string, options: SpawnOptions = {}) {
    this.#description = description;
    this.#send(options.terminal ? TO_GUEST.terminal : TO_GUEST.command, Buffer.from(command));
    if (options.terminal) this.resize(options.terminal.rows, options.terminal.columns);
    this.stdin = this.#makeInput();
    this.stderr.on('data', (chunk: Buffer) => (this.#errorText += chunk.toString()));
    this.exit = this.#talk(port);
    this.exit.catch(() => {
      // Whoever waits for it hears of it; those who do not wait must not crash for it.
    });
  }

  /** What the command has written to standard error so far. */
  get stderrText(): string {
    return this.#errorText;
  }

  /** The lines of standard output, without their ends, as they come. To be iterated once. */
  get lines(): AsyncIterableIterator<string> {
    return createInterface({ input: this.stdout, crlfDelay: Infinity })[Symbol.asyncIterator]();
  }

  /** Sends a signal to the command and all of its process group. */
  kill(signal: NodeJS.Signals = 'SIGKILL'): void {
    this.#send(TO_GUEST.signal, Buffer.of(constants.signals[signal]));
  }

  /**
   * Gives the command up: closes the connection, and the agent kills the process group. Unlike
   * {@link kill} it does not depend on the process ending, which one that waits for a stopped
   * lockspace cannot.
   */
  disconnect(): void {
    this.#isGivenUp = true;
    this.#socket?.destroy();
  }

  /** Tells the command's terminal its new size. */
  resize(rows: number, columns: number): void {
    const size = Buffer.alloc(4);
    size.writeUInt16BE(rows, 0);
    size.writeUInt16BE(columns, 2);
    this.#send(TO_GUEST.size, size);
  }

  #send(type: string, body: Uint8Array, sent?: (error?: Error | null) => void): void {
    const message = frame(Buffer.from(type), body);
    if (this.#socket) this.#socket.write(message, sent);
    else this.#unsent.push([message, sent]);
  }

  #makeInput(): Writable {
    const input = new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        for (let at = 0; at < chunk.length; at += INPUT_CHUNK) {
          const last = at + INPUT_CHUNK >= chunk.length;
          const body = chunk.subarray(at, at + INPUT_CHUNK);
          this.#send(TO_GUEST.input, body, last ? done : undefined);
        }
        if (chunk.length === 0) done();
      },
      final: (done) => {
        this.#send(TO_GUEST.endOfInput, Buffer.alloc(0), done);
      },
    });
    input.on('error', () => {
      // The command has ended without reading all of its input, or its node has: see `exit`.
    });
    return input;
  }

  async #talk(port: number): Promise<number> {
    try {
      const socket = await openConnection(port).catch((error: unknown) => {
        const message = `${this.#description} could not be started: ${messageOf(error)}.`;
        throw new VmError('gone', message, { cause: error });
      });
      if (this.#isGivenUp) socket.destroy();
      this.#socket = socket;
      for (const [message, sent] of this.#unsent.splice(0)) socket.write(message, sent);
      await this.#receive(socket);
    } finally {
      this.stdout.end();
      this.stderr.end();
    }
    if (this.#exitCode !== undefined) return this.#exitCode;
    throw new VmError('gone', `The connection to ${this.#description} ended before the command.`);
  }

  async #receive(socket: Socket): Promise<void> {
    const reader = new FrameReader();
    const closed = new Promise((resolve) => socket.once('close', resolve));
    if (socket.closed) return;
    socket.on('data', (chunk: Buffer) => {
      for (const message of reader.push(chunk)) this.#take(message);
    });
    await closed;
  }

  #take(message: Buffer): void {
    const type = String.fromCharCode(message.readUInt8(0));
    const body = message.subarray(1);
    if (type === FROM_GUEST.output) this.stdout.write(body);
    else if (type === FROM_GUEST.error) this.stderr.write(body);
    else if (type === FROM_GUEST.exit) {
      this.#exitCode = body.readUInt32BE();
      this.#socket?.destroy();
    }
  }
}
