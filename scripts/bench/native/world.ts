/**
 * A host with a DLM, as far as libdlm, the keeper and the addon can tell: device_double.c stands for the
 * device, and a folder for what the kernel shows of its lockspaces and of the cluster.
 */
import { randomUUID } from 'node:crypto';
import { accessSync, constants, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';

import { PROJECT_ROOT } from '../../vm/paths.js';
import { compile } from '../compile.js';
import type { Place } from '../contestant.js';
import { HostProgram } from '../host-program.js';
import { processesWith } from './processes.js';

/** The one lockspace that the double knows. */
export const LOCKSPACE = 'bench';

/** Locks that may be under way at once: the FIFO has to hold their results (see device_double.c). */
export const MAX_DEPTH = 200;

/** How long the double works for a request, besides what its FIFO takes, in nanoseconds. */
export interface Work {
  readonly lock: number;
  readonly unlock: number;
}

/** What this takes: where it would be, and the Debian package that brings it. */
const NEEDED: readonly (readonly [sign: string, debianPackage: string])[] = [
  ['gcc', 'gcc'],
  ['taskset', 'util-linux'],
  ['strace', 'strace'],
  ['/usr/include/libdlm.h', 'libdlm-dev'],
];

/** Why this cannot run on this host, as a sentence that says what to install; or undefined. */
export function whyNotNative(): string | undefined {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    return `The device double needs Linux on x86-64; this is ${process.platform} on ${process.arch}.`;
  }
  const missing = NEEDED.filter(([sign]) => !isThere(sign)).map(([, name]) => name);
  if (missing.length === 0) return undefined;
  return `The native benchmark needs these Debian packages: apt-get install ${missing.join(' ')}.`;
}

function isThere(commandOrFile: string): boolean {
  const folders = (process.env.PATH ?? '').split(delimiter);
  const paths = commandOrFile.startsWith('/')
    ? [commandOrFile]
    : folders.map((folder) => join(folder, commandOrFile));
  return paths.some((path) => {
    try {
      accessSync(path, constants.R_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** What the kernel shows once this node, number 1, is the only member of the lockspace. */
const FILES: Readonly<Record<string, string>> = {
  // The minor numbers are those of device_double.c.
  '/proc/misc': `249 dlm-control\n250 dlm_${LOCKSPACE}\n`,
  '/sys/kernel/config/dlm/cluster/comms/1/local': '1\n',
  '/sys/kernel/config/dlm/cluster/comms/1/addr_list': 'AF_INET 127.0.0.1\n',
  [`/sys/kernel/config/dlm/cluster/spaces/${LOCKSPACE}/nodes/1/nodeid`]: '1\n',
  [`/sys/kernel/dlm/${LOCKSPACE}/recover_status`]: '55\n',
  [`/sys/kernel/dlm/${LOCKSPACE}/control`]: '1\n',
};

/** See the top of this file. Close it: it has a folder. */
export class NativeWorld {
  readonly #root = mkdtempSync(join(tmpdir(), 'stackglue-native-'));
  readonly #double: string;
  readonly #cost: string;

  /** Compiles what it takes, and throws where that fails. */
  constructor() {
    const shared = ['-shared', '-fPIC'];
    this.#double = join(PROJECT_ROOT, compile('native/device_double.c', 'double.so', shared));
    this.#cost = compile('native/dlm_cost.c', 'dlm_cost');
    for (const [path, text] of Object.entries(FILES)) {
      mkdirSync(join(this.#root, dirname(path)), { recursive: true });
      writeFileSync(join(this.#root, path), text);
    }
  }

  /** Where programs run with the double: on the first processors of the host, so many. */
  place(processors: number, work: Work): NativePlace {
    return new NativePlace(processors, {
      ...process.env,
      // `node` is the one that runs this.
      PATH: [dirname(process.execPath), process.env.PATH].join(delimiter),
      LD_PRELOAD: this.#double,
      DOUBLE_ROOT: this.#root,
      DOUBLE_LOCK_NS: String(work.lock),
      DOUBLE_UNLOCK_NS: String(work.unlock),
    });
  }

  /** What dlm_cost.c prints of the double, on one processor. */
  async cost(depth: number, work: Work): Promise<string> {
    const program = this.place(1, work).spawn(`exec ./${this.#cost} /dev/misc/dlm_bench ${depth}`);
    const { value } = (await program.lines.next()) as { value?: string };
    const code = await program.exit;
    if (code !== 0 || value === undefined) throw new Error(`dlm_cost: ${program.stderrText}`);
    return value;
  }

  close(): void {
    rmSync(this.#root, { recursive: true, force: true });
  }
}

/** Some processors of a {@link NativeWorld}. */
export class NativePlace implements Place {
  readonly #processors: string;
  readonly #env: NodeJS.ProcessEnv;

  constructor(processors: number, env: NodeJS.ProcessEnv) {
    this.#processors = processors === 1 ? '0' : `0-${processors - 1}`;
    this.#env = env;
  }

  spawn(command: string): NativeProgram {
    return new NativeProgram(['-c', this.#processors, 'sh', '-c', command], this.#env);
  }
}

/** By which the processes of a program are known. */
const MARK = 'STACKGLUE_BENCH_PROGRAM';

/** A program that knows its processes. */
export class NativeProgram extends HostProgram {
  readonly #mark: string;

  constructor(args: readonly string[], env: NodeJS.ProcessEnv) {
    const mark = randomUUID();
    super('taskset', args, { ...env, [MARK]: mark });
    this.#mark = mark;
  }

  /** Its processes as they are now: once it says that it is ready, its keeper is among them. */
  findProcesses(): number[] {
    return processesWith(MARK, this.#mark);
  }
}
