/**
 * A fake machine for tests: the process that plays kernel and dlm_controld in a folder of its own, and the
 * way to tell it what happens. README.md beside this has the commands.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** What a machine says of itself. */
export interface MachineState {
  /** Devices that somebody has open. */
  readonly devices: number;
  readonly spaces: number;
  /** How often they were created, and not given up. */
  readonly shares: number;
  readonly locks: number;
  /** Of these, those that wait. */
  readonly waiting: number;
  /** Calls that wait because a lockspace is stopped. */
  readonly writes: number;
  /** Who waits to open a lockspace, or to give one up. */
  readonly held: number;
  /** What nobody should have asked for. */
  readonly faults: readonly string[];
}

/** Who waits for an answer. */
interface Waiting {
  readonly resolve: (answer: string) => void;
  readonly reject: (error: Error) => void;
}

function hasEnded(): Error {
  return new Error('the fake machine has ended');
}

/** A connection to a machine's control socket. */
export class MachineControl {
  readonly #socket: Socket;
  readonly #waiting: Waiting[] = [];
  #isClosed = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
    createInterface(socket).on('line', (line) => this.#waiting.shift()?.resolve(line));
    socket.on('error', () => undefined); // it is closed then
    socket.on('close', () => {
      if (this.#isClosed) return;
      for (const { reject } of this.#waiting.splice(0)) reject(hasEnded());
    });
  }

  /** Connects to the machine that is in that folder. */
  static async open(folder: string): Promise<MachineControl> {
    const socket = connect(join(folder, 'run/control'));
    await once(socket, 'connect');
    return new MachineControl(socket);
  }

  /** Gives a command and waits until it is done. Rejects when there is none of that name, or no machine. */
  async tell(command: string): Promise<void> {
    await this.tellAll([command]);
  }

  /** Gives commands that are done one after the other; resolves when all are. They are sent in the call. */
  async tellAll(commands: readonly string[]): Promise<void> {
    const answers = await this.#ask(commands);
    const refused = answers.findIndex((answer) => answer !== 'ok');
    if (refused < 0) return;
    throw new Error(`the fake machine: ${answers[refused]}: ${commands[refused]}`);
  }

  async state(): Promise<MachineState> {
    const [state = ''] = await this.#ask(['state']);
    return JSON.parse(state) as MachineState;
  }

  /** The process need not stay for an answer that nobody waits for. */
  close(): void {
    this.#isClosed = true;
    this.#socket.destroy();
  }

  #ask(commands: readonly string[]): Promise<string[]> {
    if (commands.length === 0) return Promise.resolve([]);
    if (this.#socket.destroyed) return Promise.reject(hasEnded());
    const answers = commands.map(
      () => new Promise<string>((resolve, reject) => this.#waiting.push({ resolve, reject })),
    );
    this.#socket.write(`${commands.join('\n')}\n`);
    return Promise.all(answers);
  }
}

/** A machine of this process's own. */
export class FakeMachine {
  readonly folder = mkdtempSync(join(tmpdir(), 'stackglue-machine-'));
  #process!: ChildProcess;
  #ended!: Promise<unknown[]>;
  control!: MachineControl;

  private constructor() {
    // start() makes them.
  }

  /** `program` is what build.mjs has built. */
  static async start(program: string): Promise<FakeMachine> {
    const machine = new FakeMachine();
    const child = spawn(program, [machine.folder], { stdio: ['pipe', 'pipe', 'inherit'] });
    machine.#process = child;
    machine.#ended = once(child, 'exit');
    const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
    if (line !== 'ready') throw new Error(`the fake machine: ${line}`);
    machine.control = await MachineControl.open(machine.folder);
    return machine;
  }

  /** Ends it and removes its folder. Rejects when it has failed. */
  async stop(): Promise<void> {
    this.control.close();
    this.#process.stdin?.end();
    const [code, signal] = await this.#ended;
    rmSync(this.folder, { recursive: true });
    if (code !== 0) throw new Error(`the fake machine ended by ${String(signal ?? code)}`);
  }
}
