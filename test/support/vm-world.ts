/** A cluster of virtual machines to test on, with an agent on each node. */
import { createInterface } from 'node:readline';

import {
  NodeDriver,
  type Command,
  type ConformanceWorld,
  type NodeEvent,
  type Reply,
} from '../../lib/conformance/index.js';
import { LineProgram } from '../../scripts/line-program.js';
import { diagnose } from '../../scripts/vm/diagnosis.js';
import {
  Cluster,
  inTime,
  printingProgress,
  VmError,
  whyNotHere,
  type ClusterOptions,
  type GuestProcess,
  type GuestNode,
} from '../../scripts/vm/index.js';
import { complaintsIn } from './kernel-log.js';
import { skipBecause } from './skip.js';

/** Debian's kernel of the release. */
export const LINUX_6_1 = 'linux-image-amd64';
/** The newer line that Debian offers. */
export const LINUX_6_12 = 'linux-image-6.12-amd64';
/** The newest kernels that Debian has: of the stable release's backports, and of the next release. */
export const LINUX_BACKPORTS = 'linux-image-amd64/trixie-backports';
export const LINUX_SID = 'linux-image-amd64/sid';
/** That of the release for 64-bit ARM. */
export const LINUX_ARM64 = 'linux-image-arm64';
export type Kernel =
  | typeof LINUX_6_1
  | typeof LINUX_6_12
  | typeof LINUX_BACKPORTS
  | typeof LINUX_SID
  | typeof LINUX_ARM64;

/**
 * The limit of a test in virtual machines, and of a hook. Nothing is to be measured by it: what takes so long
 * hangs, on a host that is twenty times slower than a usual one, too.
 */
export const TEST_TIMEOUT_MS = 1_800_000;

/** How long an agent waits for an event: less than the test, whose failure would not say what it waits for. */
const EVENT_DEADLINE_MS = 600_000;

/**
 * corosync's patience, if a test has no other. The one limit that cannot be but a time: nodes on a busy host
 * stand still for seconds, and are not dead then. A death is noticed after 2.2 times as long.
 */
const TOKEN_MS = 10_000;

/** For so many failed tests of a cluster its nodes are asked what they have to say about it. */
const EXPLAINED_FAILURES = 2;

/** Skips the suite, and says why, where virtual machines can't run; in CI that is a failure. */
export async function requireVms(context: Mocha.Context, kernel?: string): Promise<void> {
  const reason = await whyNotHere(kernel);
  if (reason !== undefined) skipBecause(context, reason);
}

/**
 * Gives each node a lockspace that it stays in. Kernel 6.1 stops its DLM with a node's last lockspace,
 * and when several nodes do that at once it may wait for three minutes ("shutdown stuck").
 */
export async function keepDlmRunning(cluster: Cluster): Promise<void> {
  for (const node of cluster.nodes) await node.exec('dlm_tool join keep');
}

/**
 * A command that stops a lockspace on its node (0), or starts it (1), as dlm_controld does. A shell's own
 * "echo 0 >" would write twice: it truncates the file first, and those who watch it hear of that.
 */
export function controlCommand(lockspace: string, value: 0 | 1): string {
  return `printf ${value} | dd of=/sys/kernel/dlm/${lockspace}/control conv=notrunc 2>/dev/null`;
}

/** The complaints in the log of a node's kernel. */
export async function complaintsOn(node: GuestNode): Promise<string[]> {
  const { stdout } = await node.exec('dmesg');
  return complaintsIn(stdout);
}

/** Shows the steps of building and booting among the tests. */
export const progress = printingProgress((line) => {
  console.log(`      ${line}`);
});

/** Skips the suite, and says why, where a kernel of another suite of Debian cannot be had. */
async function bootOrSkip(context: Mocha.Context, options: ClusterOptions): Promise<Cluster> {
  try {
    return await Cluster.boot(options);
  } catch (error) {
    if (!(error instanceof VmError) || error.code !== 'unavailable') throw error;
    console.log(`      skipped: ${error.message}`);
    return context.skip();
  }
}

/**
 * A cluster for the suite that calls this, booted before its tests and closed after them; the suite
 * is skipped where virtual machines can't run. Returns how to get at it.
 */
export function useCluster(options: ClusterOptions): () => Cluster {
  let cluster: Cluster | undefined;
  before(async function () {
    this.timeout(TEST_TIMEOUT_MS);
    await requireVms(this, options.kernel);
    cluster = await bootOrSkip(this, { progress, tokenMs: TOKEN_MS, ...options });
  });
  let explained = 0;
  afterEach(async function () {
    if (this.currentTest?.state !== 'failed' || explained === EXPLAINED_FAILURES) return;
    this.timeout(TEST_TIMEOUT_MS);
    explained += 1;
    for (const node of cluster?.nodes ?? []) {
      if (node.isUp) console.log(`--- node ${node.id} says:\n${await diagnose(node)}`);
    }
  });
  after(async function () {
    this.timeout(TEST_TIMEOUT_MS);
    await cluster?.close();
  });
  return () => {
    if (cluster === undefined) throw new Error('the cluster is there when the tests run');
    return cluster;
  };
}

/** A program on a node that takes a line and answers with lines. */
export class LineProcess {
  readonly #node: GuestNode;
  readonly #process: GuestProcess;
  readonly #program: LineProgram;

  /** Starts `command` on a node. */
  constructor(node: GuestNode, command: string) {
    this.#node = node;
    this.#process = node.spawn(command);
    this.#program = new LineProgram(this.#process, 'the program');
  }

  /** Its exit code, or 128 and the number of the signal that ended it. */
  get exit(): Promise<number> {
    return this.#process.exit;
  }

  send(line: string): void {
    this.#program.say(`${line}\n`);
  }

  /** The next line that it says; if none comes, the error tells what its node waits for. */
  line(): Promise<string> {
    return inTime(this.#node, 'a program says nothing', this.#program.hear());
  }

  ask(line: string): Promise<string> {
    this.send(line);
    return this.line();
  }

  /** There are no more lines for it. */
  end(): void {
    this.#process.stdin.end();
  }

  kill(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }
}

interface Report {
  ready?: number;
  id?: number;
}

/** How an agent is started: another program than the usual one, or more environment variables. */
interface AgentOptions {
  program?: string;
  environment?: Readonly<Record<string, string>>;
}

/** Starts the agent on a node of a cluster and resolves when it takes commands. */
export function startAgent(
  cluster: Cluster,
  id: number,
  { program = 'dist/test/support/node-agent-main.js', environment = {} }: AgentOptions = {},
): Promise<NodeDriver> {
  const node = cluster.node(id);
  const assignments = Object.entries(environment).map(([name, value]) => `${name}='${value}'`);
  const child = node.spawn([...assignments, `exec node ${program}`].join(' '));
  const pending = new Map<number, (reply: Reply) => void>();
  let lastId = 0;
  const request = (command: Command): Promise<Reply> =>
    new Promise((resolve) => {
      lastId += 1;
      pending.set(lastId, resolve);
      child.stdin.write(`${JSON.stringify({ id: lastId, command })}\n`);
    });
  const driver = new NodeDriver({ request }, { deadlineMs: EVENT_DEADLINE_MS });
  return new Promise((resolve, reject) => {
    const end = (why: string): void => {
      const message = `the agent on node ${id} ${why}\n${child.stderrText}`;
      for (const answer of pending.values()) answer({ error: { message } });
      pending.clear();
      reject(new Error(message));
    };
    child.exit.then(
      (code) => end(`ended with code ${code}`),
      (error: unknown) => end(String(error)),
    );
    createInterface({ input: child.stdout }).on('line', (line) => {
      const report = JSON.parse(line) as Report;
      if (report.ready !== undefined) {
        resolve(driver);
      } else if (report.id === undefined) {
        driver.push(report as NodeEvent);
      } else {
        const answer = pending.get(report.id);
        pending.delete(report.id);
        answer?.(report as unknown as Reply);
      }
    });
  });
}

/** The first three nodes of a cluster; the agents run, nobody is connected yet. */
export async function createVmWorld(cluster: Cluster): Promise<ConformanceWorld> {
  await keepDlmRunning(cluster);
  const [first, second, third] = await Promise.all([1, 2, 3].map((id) => startAgent(cluster, id)));
  if (!first || !second || !third) throw new Error('a world has three nodes');
  return {
    nodes: [first, second, third],
    kill: (node) => cluster.kill(node.number),
    // The agents end with their machines, and those with the cluster.
    close: () => Promise.resolve(),
  };
}
