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

/** A connection to a machine's control socket. */
export class MachineControl {
  readonly #socket: Socket;
  readonly #waiting: ((answer: string) => void)[] = [];

  private constructor(socket: Socket) {
    this.#socket = socket;
    createInterface(socket).on('line', (line) => this.#waiting.shift()?.(line));
  }

  /** Connects to the machine that is in that folder. */
  static async open(folder: string): Promise<MachineControl> {
    const socket = connect(join(folder, 'run/control'));
    await once(socket, 'connect');
    return new MachineControl(socket);
  }

  /** Gives a command and waits until it is done. Rejects when there is none of that name. */
  async tell(command: string): Promise<void> {
    const answer = await this.#ask(command);
    if (answer !== 'ok') throw new Error(`the fake machine: ${answer}`);
  }

  /** Gives commands that are done one after the other; resolves when all are. They are sent in the call. */
  async tellAll(commands: readonly string[]): Promise<void> {
    const answers = commands.map((_, place) => {
      return new Promise<string>((resolve) => this.#waiting.push(resolve)).then((answer) => {
        if (answer !== 'ok') throw new Error(`the fake machine: ${answer}: ${commands[place]}`);
      });
    });
    if (commands.length > 0) this.#socket.write(`${commands.join('\n')}\n`);
    await Promise.all(answers);
  }

  async state(): Promise<MachineState> {
    return JSON.parse(await this.#ask('state')) as MachineState;
  }

  /** The process need not stay for an answer that nobody waits for. */
  close(): void {
    this.#socket.destroy();
  }

  #ask(command: string): Promise<string> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.#socket.write(`${command}\n`);
    });
  }
}

/** A machine of this process's own. */
export class FakeMachine {
  readonly folder = mkdtempSync(join(tmpdir(), 'stackglue-machine-'));
  #process!: ChildProcess;
  control!: MachineControl;

  private constructor() {
    // start() makes them.
  }

  /** `program` is what build.mjs has built. */
  static async start(program: string): Promise<FakeMachine> {
    const machine = new FakeMachine();
    const child = spawn(program, [machine.folder], { stdio: ['pipe', 'pipe', 'inherit'] });
    machine.#process = child;
    const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
    if (line !== 'ready') throw new Error(`the fake machine: ${line}`);
    machine.control = await MachineControl.open(machine.folder);
    return machine;
  }

  /** Ends it and removes its folder. */
  async stop(): Promise<void> {
    this.control.close();
    const ended = once(this.#process, 'exit');
    this.#process.stdin?.end();
    await ended;
    rmSync(this.folder, { recursive: true });
  }
}
