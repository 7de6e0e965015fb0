#!/usr/bin/env node
/**
 * The one door to everything that `npm run` offers here: makes a fresh clone ready (Debian packages
 * when root, npm packages, the addon, the TypeScript build) and then does what was asked for. Each
 * step is skipped when nothing that it depends on has changed.
 *
 * Plain JavaScript without dependencies: on a fresh clone there are none yet.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { accessSync, constants, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { closeSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const logs = join(root, '.cache', 'logs');
const isRoot = process.getuid?.() === 0;

/** Commands that building the addon takes, and their Debian packages. */
const BUILD_TOOLS = { 'g++': 'g++', make: 'make', python3: 'python3' };

/**
 * What can be asked for: how to start it, and what it needs on the host. `vm`: what virtual machines need;
 * `packages`: by a command or a file that shows them present; `needs`: a compiled module that knows.
 */
const TASKS = {
  build: {},
  prebuilds: { run: ['dist/scripts/prebuild/main.js'] },
  release: { run: ['dist/scripts/release/main.js'] },
  demo: { run: ['dist/scripts/demo/embedded.js'] },
  'demo:tokens': { run: ['dist/scripts/demo/tokens/main.js'] },
  'demo:simulator': { run: ['dist/scripts/demo/simulator/main.js'] },
  'demo:cluster': { run: ['dist/scripts/demo/cluster.js'], vm: true },
  cluster: { run: ['dist/scripts/vm/cli.js'], vm: true },
  bench: {
    run: ['dist/scripts/bench/main.js'],
    vm: true,
    packages: {
      // What counts system calls, and gives programs their processors.
      strace: 'strace',
      taskset: 'util-linux',
      '/usr/include/libdlm.h': 'libdlm-dev',
    },
  },
  differential: { run: ['dist/scripts/differential/main.js'], vm: true },
  kills: { run: ['dist/scripts/kills/main.js'], vm: true },
  test: { run: ['dist/scripts/test/main.js'], needs: 'dist/scripts/test/needs.js' },
};

class StepError extends Error {}

function onPath(command) {
  return (process.env.PATH ?? '').split(':').some((directory) => {
    try {
      accessSync(join(directory, command), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Runs a command, its output in a log that is shown when it fails. */
function runLogged(name, command, args, options = {}) {
  mkdirSync(logs, { recursive: true });
  const path = join(logs, `${name}.log`);
  const log = openSync(path, 'w');
  const result = spawnSync(command, args, {
    cwd: root,
    stdio: ['ignore', log, log],
    ...options,
    env: { ...process.env, ...options.env },
  });
  closeSync(log);
  if (result.status === 0) return;
  const tail = readFileSync(path, 'utf8').split('\n').slice(-40).join('\n');
  const why = result.error?.message ?? `exit code ${result.status ?? result.signal}`;
  throw new StepError(
    `${command} ${args.join(' ')}: ${why}\n${tail}\n(log: ${relative(root, path)})`,
  );
}

/** Says what is being done, and then how long it took. */
async function step(what, action) {
  const start = performance.now();
  process.stderr.write(`\u25b8 ${what} ...`);
  const seconds = () => ((performance.now() - start) / 1000).toFixed(1);
  try {
    await action();
  } catch (error) {
    process.stderr.write(` failed after ${seconds()} s\n`);
    throw error;
  }
  process.stderr.write(` ${seconds()} s\n`);
}

/** Hash of the files' names and bytes, and of whatever else a step depends on. */
function fingerprint(paths, ...more) {
  const hash = createHash('sha256').update(JSON.stringify(more));
  const add = (path) => {
    hash.update(path).update(readFileSync(join(root, path)));
  };
  for (const path of paths) {
    const found = readdirSync(join(root, dirname(path)), { withFileTypes: true }).find(
      (entry) => entry.name === path.split('/').at(-1),
    );
    if (found?.isDirectory()) {
      for (const entry of readdirSync(join(root, path), { recursive: true, withFileTypes: true })) {
        if (entry.isFile()) add(relative(root, join(entry.parentPath, entry.name)));
      }
    } else if (found) {
      add(path);
    }
  }
  return hash.digest('hex');
}

/** Does a step unless its stamp says that it was done with the same inputs. */
async function once(stamp, inputs, what, action) {
  const path = join(root, stamp);
  if (existsSync(path) && readFileSync(path, 'utf8') === inputs) return;
  await step(what, action);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, inputs);
}

/**
 * Installs Debian packages, `{ debianPackage, purpose }`, and says first which and what for. What can't be
 * installed is named; only where `isVital` that ends everything, elsewhere who needs it says so.
 */
async function install(needs, isVital) {
  if (needs.length === 0) return;
  const packages = [...new Set(needs.map(({ debianPackage }) => debianPackage))];
  const canInstall = isRoot && onPath('apt-get') && process.env.STACKGLUE_INSTALL !== 'no';
  const lines = needs.map(({ debianPackage, purpose }) => `    ${debianPackage}  ${purpose}`);
  const list = [...new Set(lines)].join('\n');
  if (!canInstall) {
    const text = `these Debian packages are missing:\n${list}\n  Install them as root: apt-get install ${packages.join(' ')}`;
    if (isVital) throw new StepError(text);
    process.stderr.write(`\u25b8 ${text}\n`);
    return;
  }
  process.stderr.write(
    `\u25b8 will be installed on this host by apt-get (STACKGLUE_INSTALL=no keeps it from that):\n${list}\n`,
  );
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  try {
    await step('installing Debian packages', () => {
      const install = ['install', '-y', '--no-install-recommends', ...packages];
      runLogged('apt-update', 'apt-get', ['update'], { env });
      runLogged('apt', 'apt-get', install, { env });
    });
  } catch (error) {
    if (isVital || !(error instanceof StepError)) throw error;
    // Another release may not have one of them.
    process.stderr.write(`${error.message}\n`);
  }
}

async function installBuildTools() {
  const needs = Object.entries(BUILD_TOOLS)
    .filter(([command]) => !onPath(command))
    .map(([, debianPackage]) => ({ debianPackage, purpose: 'to build the addon' }));
  await install(needs, true);
}

async function installNpmPackages() {
  await once(
    'node_modules/.stackglue-installed',
    fingerprint(['package-lock.json']),
    'installing npm packages',
    () => runLogged('npm-ci', 'npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund']),
  );
}

async function buildAddon() {
  // It is compiled in.
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  await once(
    'build/.stackglue-built',
    fingerprint(
      ['binding.gyp', 'native', 'package-lock.json'],
      version,
      process.version,
      process.arch,
    ),
    'building the addon',
    () => runLogged('node-gyp', process.execPath, ['native/build.mjs']),
  );
}

async function buildTypeScript() {
  await once(
    'dist/.stackglue-built',
    fingerprint(['tsconfig.json', 'lib', 'test', 'scripts', 'package-lock.json']),
    'compiling TypeScript',
    () => {
      // What a deleted source once became must not be run.
      rmSync(join(root, 'dist'), { recursive: true, force: true });
      runLogged('tsc', process.execPath, ['node_modules/typescript/bin/tsc', '-p', '.']);
    },
  );
}

const load = (module) => import(pathToFileURL(join(root, module)).href);

/** What a task needs that is not there. */
async function missingNeeds({ vm, packages = {}, needs }, args) {
  const missing = Object.entries(packages)
    .filter(([sign]) => !(sign.startsWith('/') ? existsSync(sign) : onPath(sign)))
    .map(([, debianPackage]) => ({ debianPackage, purpose: 'to measure' }));
  if (vm) {
    const { missingHostPackages } = await load('dist/scripts/vm/packages.js');
    const purpose = 'for virtual machines';
    missing.push(...missingHostPackages().map((debianPackage) => ({ debianPackage, purpose })));
  }
  if (needs) missing.push(...(await (await load(needs)).missingNeeds(args)));
  return missing;
}

function start(args) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, { cwd: root, stdio: 'inherit' });
    for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
    child.on('exit', (code, signal) => resolve(signal === null ? code : 1));
  });
}

async function main() {
  const [name = '', ...args] = process.argv.slice(2);
  const task = TASKS[name];
  if (task === undefined) {
    throw new StepError(`usage: node scripts/run.mjs ${Object.keys(TASKS).join(' | ')}`);
  }
  await installBuildTools();
  await installNpmPackages();
  await buildAddon();
  await buildTypeScript();
  await install(await missingNeeds(task, args), false);
  if (task.run) process.exitCode = await start([...task.run, ...args]);
}

try {
  await main();
} catch (error) {
  // A RangeError tells what is wrong with the words of the command line.
  if (!(error instanceof StepError || error instanceof RangeError)) throw error;
  process.stderr.write(`\n${error.message}\n`);
  process.exitCode = error instanceof RangeError ? 2 : 1;
}
