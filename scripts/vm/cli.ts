/** `npm run cluster`: a cluster to try things out on, from the command line. */

import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { parseArgs } from 'node:util';

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

const USAGE = `A cluster of virtual machines with the Linux kernel's DLM.

  npm run cluster -- up [nodes]         boot a cluster (3 nodes, unless told otherwise)
      --membership corosync|host|o2cb|none
                                        who decides membership (corosync)
      --memory <MiB>                    memory of each node (384)
      --kernel <package>[/<suite>]      Debian kernel package (linux-image-amd64)
      --devices devtmpfs|udev           who makes the nodes' devices (devtmpfs)
  npm run cluster -- status             what is running
  npm run cluster -- run <node> <command>
                                        run a shell command; its input, output and exit code
  npm run cluster -- shell <node>       an interactive shell
  npm run cluster -- kill <node>        cut a node's power
  npm run cluster -- restart <node>     boot it again
  npm run cluster -- evict <node>       membership host or o2cb: declare a node failed
  npm run cluster -- cut <a> <b> [--one-way]
                                        lose all frames between two nodes, or from a to b
  npm run cluster -- isolate <node>     cut all links of a node
  npm run cluster -- heal               restore all links
  npm run cluster -- logs [node]        where the logs are, or a node's console
  npm run cluster -- down               end the cluster
`;

const MEMBERSHIPS = ['corosync', 'host', 'o2cb', 'none'];
const DEVICE_MANAGERS = ['devtmpfs', 'udev'];

interface Flags {
  membership?: string | undefined;
  memory?: string | undefined;
  kernel?: string | undefined;
  devices?: string | undefined;
  'one-way'?: boolean | undefined;
}

function number(word: string | undefined, what: string): number {
  const value = Number(word);
  if (word !== undefined && Number.isInteger(value) && value > 0) return value;
  const got = word === undefined ? 'nothing' : `"${word}"`;
  throw new VmError('usage', `${what} must be a number such as 1, not ${got}.`);
}

async function up(words: readonly string[], flags: Flags): Promise<void> {
  const nodes = number(words[0] ?? '3', 'The number of nodes');
  const membership = flags.membership ?? 'corosync';
  if (!MEMBERSHIPS.includes(membership)) {
    throw new VmError('usage', `--membership can be ${MEMBERSHIPS.join(', ')}.`);
  }
  const { devices } = flags;
  if (devices !== undefined && !DEVICE_MANAGERS.includes(devices)) {
    throw new VmError('usage', `--devices can be ${DEVICE_MANAGERS.join(', ')}.`);
  }
  const reason = await whyNotHere();
  if (reason) throw new VmError('unsupported', reason);
  if (await isClusterUp()) {
    throw new VmError('usage', 'A cluster is up already. End it with: npm run cluster -- down');
  }
  const started = performance.now();
  await startSupervisor([
    ...['--nodes', String(nodes), '--membership', membership],
    ...(flags.memory === undefined ? [] : ['--memory', String(number(flags.memory, '--memory'))]),
    ...(flags.kernel === undefined ? [] : ['--kernel', flags.kernel]),
    ...(devices === undefined ? [] : ['--devices', devices]),
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

async function runningNode(word: string | undefined): Promise<{ id: number; agentPort: number }> {
  const id = number(word, 'The node');
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

async function run(words: readonly string[]): Promise<void> {
  const [node, ...rest] = words;
  const command = rest[0] === '--' ? rest.slice(1) : rest;
  if (command.length === 0) throw new VmError('usage', 'Which command? For example: run 1 "ls"');
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

async function shell(words: readonly string[]): Promise<void> {
  const { stdin, stdout } = process;
  if (!stdin.isTTY || !stdout.isTTY) {
    const script = await text(stdin);
    return run([words[0] ?? '', script]);
  }
  const { id, agentPort } = await runningNode(words[0]);
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

async function logs(words: readonly string[]): Promise<void> {
  const { logFolder } = await clusterStatus();
  if (words[0] !== undefined) {
    const file = join(logFolder, `n${number(words[0], 'The node')}.console.log`);
    console.log(readFileSync(file, 'utf8'));
    return;
  }
  for (const name of readdirSync(logFolder).sort()) console.log(join(logFolder, name));
}

async function tell(request: ControlRequest): Promise<void> {
  await ask(request);
}

async function main(): Promise<void> {
  const [command, ...rest] = process.argv.slice(2);
  if (command === 'run') return run(rest); // its words are the guest's, flags included
  const { positionals: words, values: flags } = parseArgs({
    args: rest,
    allowPositionals: true,
    options: {
      membership: { type: 'string' },
      memory: { type: 'string' },
      kernel: { type: 'string' },
      devices: { type: 'string' },
      'one-way': { type: 'boolean' },
    },
  });
  const node = (index: number): number => number(words[index], 'The node');
  switch (command) {
    case 'up':
      return up(words, flags);
    case 'status':
      return status();
    case 'shell':
      return shell(words);
    case 'logs':
      return logs(words);
    case 'kill':
    case 'restart':
    case 'evict':
    case 'isolate':
      return tell({ op: command, node: node(0) });
    case 'cut': {
      const oneWay = flags['one-way'] ?? false;
      return tell({ op: 'cut', from: node(0), to: node(1), oneWay });
    }
    case 'heal':
    case 'down':
      return tell({ op: command });
    case undefined:
    case 'help':
    case '--help':
      console.log(USAGE);
      return;
    default:
      throw new VmError('usage', `There is no command "${command}".\n\n${USAGE}`);
  }
}

try {
  await main();
} catch (error) {
  console.error(messageOf(error));
  process.exitCode = 1;
}
