/** `npm run cluster`: a cluster to try things out on, from the command line. */

import type { Command } from 'commander';
import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

import { commandLine, oneOf, wholeFrom } from '../arguments.js';
import { GuestProcess } from './agent-client.js';
import {
  ask,
  isClusterUp,
  runFolder,
  type ControlRequest,
  type ClusterStatus,
  type StartupMessage,
} from './control.js';
import { VmError, messageOf } from './errors.js';
import { whyNotHere } from './index.js';
import { printingProgress } from './progress.js';

const MEMBERSHIPS = ['corosync', 'host', 'o2cb', 'none'] as const;
const DEVICE_MANAGERS = ['devtmpfs', 'udev'] as const;

interface UpFlags {
  readonly membership: (typeof MEMBERSHIPS)[number];
  readonly memory?: number;
  readonly kernel?: string;
  readonly devices?: (typeof DEVICE_MANAGERS)[number];
}

async function up(nodes: number, flags: UpFlags): Promise<void> {
  const reason = await whyNotHere(flags.kernel);
  if (reason) throw new VmError('unsupported', reason);
  if (await isClusterUp()) {
    throw new VmError('usage', 'A cluster is up already. End it with: npm run cluster -- down');
  }
  const started = performance.now();
  await startSupervisor([
    ...['--nodes', String(nodes), '--membership', flags.membership],
    ...(flags.memory === undefined ? [] : ['--memory', String(flags.memory)]),
    ...(flags.kernel === undefined ? [] : ['--kernel', flags.kernel]),
    ...(flags.devices === undefined ? [] : ['--devices', flags.devices]),
  ]);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`${seconds.padStart(6)} s  in all. Next: npm run cluster -- shell 1`);
}

/** Starts the process that owns the cluster, and shows what it does until the cluster is up. */
async function startSupervisor(args: readonly string[]): Promise<void> {
  mkdirSync(runFolder(), { recursive: true });
  const logFile = join(runFolder(), 'supervisor.log');
  const log = openSync(logFile, 'w');
  const child = spawn(process.execPath, [join(import.meta.dirname, 'supervisor.js'), ...args], {
    detached: true,
    stdio: ['ignore', log, log, 'ipc'],
  });
  closeSync(log);
  const progress = printingProgress(console.log);
  const up = new Promise<void>((resolve, reject) => {
    child.on('message', (message: StartupMessage) => {
      if (message.kind === 'start') showStep(message.step);
      if (message.kind === 'done') {
        showStep('');
        progress.done(message.step, message.elapsedMs);
      }
      if (message.kind === 'up') resolve();
      if (message.kind === 'failed') reject(new VmError('boot', message.message));
    });
    child.on('exit', () => {
      reject(new VmError('boot', `The cluster's process died:\n${readFileSync(logFile, 'utf8')}`));
    });
  });
  await up;
  child.disconnect();
  child.unref();
}

/** On a terminal: the step that is being done, on a line that the next one overwrites. */
function showStep(name: string): void {
  if (process.stdout.isTTY) process.stdout.write(name ? `     …    ${name}` : '\r\u001b[K');
}

async function clusterStatus(): Promise<ClusterStatus> {
  const found = await ask({ op: 'status' });
  if (!found) throw new VmError('gone', 'The cluster does not tell its status.');
  return found;
}

async function status(): Promise<void> {
  const { state, membership, pid, logFolder, nodes } = await clusterStatus();
  console.log(`The cluster is ${state}; membership: ${membership}; process: ${pid}`);
  for (const node of nodes) {
    const how = node.pid === undefined ? 'down' : `up, QEMU process ${node.pid}`;
    console.log(`  node ${node.id}  ${node.address}  ${how}`);
  }
  if (logFolder) console.log(`Logs: ${logFolder}`);
}

async function runningNode(id: number): Promise<{ id: number; agentPort: number }> {
  const { nodes } = await clusterStatus();
  const node = nodes.find((each) => each.id === id);
  if (!node) {
    const known = nodes.map((each) => each.id).join(', ');
    throw new VmError('usage', `There is no node ${id}; there are: ${known || 'none yet'}.`);
  }
  const { agentPort } = node;
  if (agentPort === undefined) {
    const advice = `npm run cluster -- restart ${id}`;
    throw new VmError('usage', `Node ${id} is not running. Boot it with: ${advice}`);
  }
  return { id, agentPort };
}

async function run(node: number, command: readonly string[]): Promise<void> {
  const { id, agentPort } = await runningNode(node);
  const line = command.join(' ');
  const child = new GuestProcess(agentPort, line, `"${line}" on node ${id}`);
  // A terminal that nobody types on must not keep the command waiting for its end.
  if (process.stdin.isTTY) child.stdin.end();
  else process.stdin.pipe(child.stdin);
  child.stdout.pipe(process.stdout);
  child.stderr.pipe(process.stderr);
  process.exitCode = await child.exit;
  process.stdin.destroy();
}

async function shell(node: number): Promise<void> {
  const { stdin, stdout } = process;
  if (!stdin.isTTY || !stdout.isTTY) {
    const script = await text(stdin);
    return run(node, [script]);
  }
  const { id, agentPort } = await runningNode(node);
  const terminal = { rows: stdout.rows, columns: stdout.columns };
  const command = `PS1='n${id}:\\w# ' exec sh`;
  const child = new GuestProcess(agentPort, command, `the shell on node ${id}`, { terminal });
  stdout.on('resize', () => {
    child.resize(stdout.rows, stdout.columns);
  });
  stdin.setRawMode(true);
  stdin.pipe(child.stdin);
  child.stdout.pipe(stdout);
  try {
    process.exitCode = await child.exit;
  } finally {
    stdin.setRawMode(false);
    stdin.destroy();
  }
}

async function logs(node: number | undefined): Promise<void> {
  const { logFolder } = await clusterStatus();
  if (node !== undefined) {
    const file = join(logFolder, `n${node}.console.log`);
    console.log(readFileSync(file, 'utf8'));
    return;
  }
  for (const name of readdirSync(logFolder).sort()) console.log(join(logFolder, name));
}

async function tell(request: ControlRequest): Promise<void> {
  await ask(request);
}

function commands(): Command {
  const node = wholeFrom(1);
  const program = commandLine('npm run cluster --')
    .description("A cluster of virtual machines with the Linux kernel's DLM.")
    .enablePositionalOptions();
  program
    .command('up')
    .description('boot a cluster')
    .argument('[nodes]', 'how many', node, 3)
    .option('--membership <who>', 'who decides membership', oneOf(MEMBERSHIPS), 'corosync')
    .option('--memory <MiB>', 'memory of each node (384)', node)
    .option('--kernel <package[/suite]>', 'Debian kernel package (linux-image-amd64)')
    .option('--devices <who>', "who makes the nodes' devices (devtmpfs)", oneOf(DEVICE_MANAGERS))
    .action(up);
  program.command('status').description('what is running').action(status);
  program
    .command('run')
    .description('run a shell command; its input, output and exit code')
    .argument('<node>', 'on which', node)
    .argument('<command...>', "a line of the node's shell")
    // Its words are the guest's, flags included.
    .passThroughOptions()
    .action(run);
  program
    .command('shell')
    .description('an interactive shell')
    .argument('<node>', 'on which', node)
    .action(shell);
  for (const [op, description] of [
    ['kill', "cut a node's power"],
    ['restart', 'boot it again'],
    ['evict', 'membership host or o2cb: declare a node failed'],
    ['isolate', 'cut all links of a node'],
  ] as const) {
    program
      .command(op)
      .description(description)
      .argument('<node>', 'which', node)
      .action((which: number) => tell({ op, node: which }));
  }
  program
    .command('cut')
    .description('lose all frames between two nodes')
    .argument('<from>', 'the one', node)
    .argument('<to>', 'the other', node)
    .option('--one-way', 'only those from the first to the second')
    .action((from: number, to: number, { oneWay = false }: { oneWay?: boolean }) =>
      tell({ op: 'cut', from, to, oneWay }),
    );
  program
    .command('heal')
    .description('restore all links')
    .action(() => tell({ op: 'heal' }));
  program
    .command('logs')
    .description("where the logs are, or a node's console")
    .argument('[node]', 'which', node)
    .action(logs);
  program
    .command('down')
    .description('end the cluster')
    .action(() => tell({ op: 'down' }));
  return program;
}

try {
  await commands().parseAsync();
} catch (error) {
  console.error(messageOf(error));
  process.exitCode = 1;
}
