/** One virtual machine: its QEMU process from start to death. */

import { spawn, type ChildProcess } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import type { Duplex } from 'node:stream';

import { factsOf, isForeign, type Architecture } from './architecture.js';
import { withDeadline } from './deadline.js';
import type { DeviceManager } from './device-manager.js';
import { VmError } from './errors.js';
import { clusterMac } from './hub.js';
import type { Image } from './image.js';
import { PROJECT_ROOT } from './paths.js';

/** How the guest's processor is made. */
export type Accelerator = 'kvm' | 'tcg';

/** What a virtual machine is to be. */
export interface MachineOptions {
  readonly image: Image;
  readonly accelerator: Accelerator;
  /** The node's number, from 1, and how many nodes the cluster has. */
  readonly node: number;
  readonly nodes: number;
  readonly memoryMiB: number;
  /** How many virtual processors it has. */
  readonly cpus: number;
  /** Who makes its devices; the default is `devtmpfs`. */
  readonly devices?: DeviceManager | undefined;
  /** The port of the cluster's hub; without one the machine has no cluster network card. */
  readonly hubPort?: number | undefined;
  /** A disk image that all nodes write to, the guest's `/dev/vdb`. */
  readonly sharedDisk?: string | undefined;
  /** The file that gets all that the guest's console and QEMU itself say. */
  readonly log: string;
}

/**
 * Room for translated code, in MiB. A running Node.js needs some 100; all code is translated again each time
 * that it is full. QEMU's own choice is an eighth of the host's memory per machine.
 */
const EMULATED = ['-accel', 'tcg,thread=multi,tb-size=512'];

/** What the machine is, and what the kernel is told of it, beside what all machines have. */
interface Model {
  readonly machine: string;
  readonly console: string;
  readonly emulatedProcessor: string;
  readonly parameters: readonly string[];
  readonly emulatedParameters: readonly string[];
}

const MODELS: Record<Architecture, Model> = {
  x64: {
    machine: 'pc',
    console: 'ttyS0',
    // Without cmpxchg16b, by which the kernel allocates memory: QEMU before 8.0 computes its flags from what an
    // instruction before it left, so that an interrupt behind it saves anything as flags, and the kernel comes
    // back from it in virtual 8086 mode, step by step, or not at all.
    emulatedProcessor: 'qemu64,-cx16',
    // At boot the kernel counts timer interrupts, and panics when a busy host lets too few through.
    parameters: ['no_timer_check'],
    // A quarter of a boot went to ACPI's programs that find the routes of PCI interrupts, which no device here
    // uses (MSI-X).
    emulatedParameters: ['acpi=noirq'],
  },
  arm64: {
    machine: 'virt,gic-version=3',
    console: 'ttyAMA0',
    // One that exists: the kernel signs pointers on "max", which takes long to emulate.
    emulatedProcessor: 'cortex-a72',
    parameters: [],
    emulatedParameters: [],
  },
};

function processorArguments({ emulatedProcessor }: Model, accelerator: Accelerator): string[] {
  return accelerator === 'kvm'
    ? ['-accel', 'kvm', '-cpu', 'host']
    : [...EMULATED, '-cpu', emulatedProcessor];
}

/** The agent prints it on the console once it listens. */
const READY = 'STACKGLUE-GUEST-READY';
const CONTROL_ADDRESS = '10.0.2.15';
const AGENT_PORT = 7000;
const TAIL_LENGTH = 2000;

function qemuArguments(options: MachineOptions): string[] {
  const { image, node, nodes, devices = 'devtmpfs' } = options;
  const model = MODELS[image.architecture];
  const append = [
    `console=${model.console} quiet mitigations=off nokaslr panic=-1 reboot=t rdinit=/init`,
    ...model.parameters,
    // Under emulation the tests of ciphers take their time, too.
    ...(options.accelerator === 'tcg' ? ['cryptomgr.notests', ...model.emulatedParameters] : []),
    ...(isForeign(image.architecture) ? ['stackglue.foreign'] : []),
    `stackglue.node=${node} stackglue.nodes=${nodes} stackglue.devices=${devices}`,
  ];
  const cluster =
    options.hubPort === undefined
      ? []
      : [
          ...['-netdev', `socket,id=cluster,connect=127.0.0.1:${options.hubPort}`],
          ...['-device', `virtio-net-pci,netdev=cluster,mac=${clusterMac(node)},romfile=`],
        ];
  return [
    ...processorArguments(model, options.accelerator),
    ...['-M', model.machine, '-smp', String(options.cpus), '-m', String(options.memoryMiB)],
    ...['-nodefaults', '-no-user-config', '-no-reboot', '-display', 'none'],
    ...['-kernel', image.kernel, '-initrd', image.initramfs, '-append', append.join(' ')],
    // The console is QEMU's standard output, its monitor the socket that it inherits as 3.
    ...['-chardev', 'stdio,id=console,signal=off', '-serial', 'chardev:console'],
    ...['-chardev', 'socket,id=monitor,fd=3', '-mon', 'chardev=monitor,mode=control'],
    // Port 0: the system chooses one that is free, and the monitor tells which.
    '-netdev',
    `user,id=control,restrict=on,hostfwd=tcp:127.0.0.1:0-${CONTROL_ADDRESS}:${AGENT_PORT}`,
    ...['-device', 'virtio-net-pci,netdev=control,mac=52:54:00:dd:00:01,romfile='],
    ...cluster,
    '-drive',
    `id=node,if=none,format=raw,readonly=on,file.locking=off,file=${escapeComma(image.nodeDisk)}`,
    ...['-device', 'virtio-blk-pci,drive=node'],
    ...(options.sharedDisk === undefined ? [] : sharedDiskArguments(options.sharedDisk)),
    '-fsdev',
    `local,id=project,security_model=none,readonly=on,path=${escapeComma(PROJECT_ROOT)}`,
    ...['-device', 'virtio-9p-pci,fsdev=project,mount_tag=project'],
    ...['-device', 'virtio-rng-pci'],
  ];
}

/** What one machine has written to it the others read: all of them go through the host's page cache. */
function sharedDiskArguments(path: string): string[] {
  const file = `file.locking=off,cache=writethrough,file=${escapeComma(path)}`;
  return [
    ...['-drive', `id=shared,if=none,format=raw,${file}`],
    ...['-device', 'virtio-blk-pci,drive=shared,share-rw=on'],
  ];
}

/** QEMU's options are separated by commas; a doubled one stands for itself. */
function escapeComma(path: string): string {
  return path.replaceAll(',', ',,');
}

/** A running QEMU. It dies with the process that started it, even when that one is killed. */
export class Machine {
  readonly #process: ChildProcess;
  readonly #options: MachineOptions;
  /** Resolves when QEMU has ended and all its output is in the log. */
  readonly ended: Promise<void>;
  #hasEnded = false;
  #tail = '';
  #ready: () => void = () => undefined;
  readonly #guestReady = new Promise<void>((resolve) => (this.#ready = resolve));
  #agentPort: number | undefined;

  /** Starts QEMU. */
  constructor(options: MachineOptions) {
    this.#options = options;
    this.#process = spawn(
      'setpriv',
      ['--pdeathsig', 'KILL', factsOf(options.image.architecture).qemu, ...qemuArguments(options)],
      { stdio: ['ignore', 'pipe', 'pipe', 'pipe'] },
    );
    const log = createWriteStream(options.log, { flags: 'a' });
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      stream?.on('data', (chunk: Buffer) => {
        log.write(chunk);
        this.#watch(chunk.toString('latin1'));
      });
    }
    this.#process.on('error', (error) => {
      this.#watch(`QEMU cannot be started: ${error.message}`);
    });
    this.ended = new Promise((resolve) => {
      this.#process.once('close', () => {
        this.#hasEnded = true;
        log.end(resolve);
      });
    });
  }

  /** QEMU's process id, or undefined when it could not be started. */
  get pid(): number | undefined {
    return this.#process.pid;
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** The port on the host's loopback that leads to the guest's agent; known when ready. */
  get agentPort(): number {
    if (this.#agentPort === undefined) throw new VmError('boot', 'The machine is not ready yet.');
    return this.#agentPort;
  }

  /** The end of what the console said, and where all of it is: for errors. */
  consoleTail(): string {
    const text = this.#tail.trim() || '(it is empty)';
    return `The console's log is ${this.#options.log}; it ends with:\n${text}`;
  }

  /**
   * Waits until the guest's agent listens.
   *
   * @throws {VmError} `boot` when QEMU ends before that, `timeout` when it takes too long.
   */
  async ready(timeoutMs: number): Promise<void> {
    const name = `Node ${this.#options.node}`;
    const died = this.ended.then(() => {
      throw new VmError('boot', `${name} died while it booted. ${this.consoleTail()}`);
    });
    const up = Promise.all([this.#guestReady, this.#findAgentPort()]);
    await withDeadline(
      Promise.race([up, died]),
      timeoutMs,
      () => `${name} did not boot in ${timeoutMs / 1000} s. ${this.consoleTail()}`,
    );
  }

  /** Kills QEMU as a power cut would; resolves when it is dead. May be called again. */
  async kill(): Promise<void> {
    if (!this.#hasEnded) this.#process.kill('SIGKILL');
    await this.ended;
  }

  #watch(text: string): void {
    const seen = this.#tail + text;
    if (seen.includes(READY)) this.#ready();
    this.#tail = seen.slice(-TAIL_LENGTH);
  }

  async #findAgentPort(): Promise<void> {
    const answer = await this.#monitor('info usernet');
    const port = /TCP\[HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)/.exec(answer)?.[1];
    if (port === undefined) throw new VmError('boot', `QEMU forwards no port: ${answer}`);
    this.#agentPort = Number(port);
  }

  /** QEMU's answer to one command of its human monitor. */
  #monitor(command: string): Promise<string> {
    const monitor = this.#process.stdio[3] as Duplex | null | undefined;
    if (!monitor) return Promise.reject(new VmError('boot', 'QEMU could not be started.'));
    monitor.on('error', () => {
      // QEMU has ended, which is noticed elsewhere.
    });
    const requests = [
      { execute: 'qmp_capabilities' },
      {
        execute: 'human-monitor-command',
        arguments: { 'command-line': command },
      },
    ];
    monitor.write(requests.map((request) => `${JSON.stringify(request)}\n`).join(''));
    let received = '';
    return new Promise((resolve) => {
      monitor.on('data', (chunk: Buffer) => {
        received += chunk.toString();
        for (const line of received.split('\n').slice(0, -1)) {
          const value = (JSON.parse(line) as { return?: unknown }).return;
          if (typeof value === 'string') resolve(value);
        }
      });
    });
  }
}
