/** One node of a cluster, as seen from the host. */

import { GuestProcess, type SpawnOptions } from './agent-client.js';
import { HANG_MS } from './deadline.js';
import { VmError } from './errors.js';
import { GUEST_NODE, GUEST_PROJECT } from './paths.js';
import { Machine, type MachineOptions } from './qemu.js';
import { runToEnd, type RunOptions, type RunResult } from './run.js';

/** A node. It stays the same object when its virtual machine is killed and started again. */
export class GuestNode {
  /** The node's number, from 1: its DLM node id and the last part of its address. */
  readonly id: number;
  /** The project's root in the guest; read-only. `/tmp` and `/run` can be written. */
  readonly project = GUEST_PROJECT;
  /** The Node.js program in the guest; it is in PATH as `node`, too. */
  readonly nodeBinary = GUEST_NODE;
  readonly #options: MachineOptions;
  #machine: Machine | undefined;

  /** Use `Cluster.boot`. */
  constructor(options: MachineOptions) {
    this.id = options.node;
    this.#options = options;
  }

  /** The node's address in the cluster's network. */
  get address(): string {
    return nodeAddress(this.id);
  }

  /** Whether its virtual machine runs. */
  get isUp(): boolean {
    return this.#machine !== undefined && !this.#machine.hasEnded;
  }

  /** The process id of its QEMU, while it runs. */
  get pid(): number | undefined {
    return this.isUp ? this.#machine?.pid : undefined;
  }

  /** The host's loopback port of its agent. */
  get agentPort(): number {
    return this.#running().agentPort;
  }

  /** The file on the host with all that its console has said, restarts included. */
  get consoleLog(): string {
    return this.#options.log;
  }

  /**
   * Starts the virtual machine and waits until commands can be run.
   *
   * @throws {VmError} `boot` or `timeout`, with the end of the console's log.
   */
  async powerOn(): Promise<void> {
    if (this.isUp) throw new VmError('usage', `Node ${this.id} is running already.`);
    this.#machine = new Machine(this.#options);
    await this.#machine.ready(HANG_MS);
  }

  /** Ends the virtual machine as a power cut would; resolves when QEMU is dead. */
  async powerOff(): Promise<void> {
    await this.#machine?.kill();
  }

  /**
   * Starts a command with `/bin/sh -c` in the project's root and goes on at once.
   *
   * @throws {VmError} `gone` when the node is not running.
   */
  spawn(command: string, options: SpawnOptions = {}): GuestProcess {
    const { agentPort } = this.#running();
    return new GuestProcess(agentPort, command, this.#describe(command), options);
  }

  /**
   * Runs a command with `/bin/sh -c` to its end, whatever its exit code.
   *
   * @throws {VmError} `timeout`, after the command was killed; `gone` when the node is not
   * running or dies meanwhile.
   */
  async run(command: string, options: RunOptions = {}): Promise<RunResult> {
    return runToEnd(this.spawn(command), this.#describe(command), options);
  }

  /**
   * As {@link run}, for commands that must succeed.
   *
   * @throws {VmError} `command`, with all output, when the exit code is not zero.
   */
  async exec(command: string, options: RunOptions = {}): Promise<RunResult> {
    const result = await this.run(command, options);
    if (result.code === 0) return result;
    const { code, stdout, stderr } = result;
    throw new VmError(
      'command',
      `On node ${this.id}, "${command}" ended with code ${code}.\n${stdout}${stderr}`.trimEnd(),
    );
  }

  /** For errors: the end of what the console said and where its log is. */
  consoleTail(): string {
    return this.#machine?.consoleTail() ?? `Node ${this.id} was never started.`;
  }

  #describe(command: string): string {
    return `"${command}" on node ${this.id}`;
  }

  #running(): Machine {
    if (this.#machine && !this.#machine.hasEnded) return this.#machine;
    throw new VmError('gone', `Node ${this.id} is not running.`);
  }
}

/** The address of a node in the cluster's network; guest/init gives it to the card. */
export function nodeAddress(id: number): string {
  return `10.77.0.${id}`;
}
