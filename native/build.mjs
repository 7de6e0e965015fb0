#!/usr/bin/env node
/**
 * `stackglue-build`: builds the addon and the keeper for this machine, where the binaries that the package
 * brings along do not do. What is built so is used in their place. It takes a C++ compiler, make and python3.
 * Arguments go to node-gyp.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const prefix = dirname(dirname(process.execPath));

/** In a checkout it is installed; elsewhere npm has one, for itself and for what it runs. */
function nodeGyp() {
  const require = createRequire(import.meta.url);
  const ofNpm = 'npm/node_modules/node-gyp/bin/node-gyp.js';
  const candidates = [
    () => require.resolve('node-gyp/bin/node-gyp.js'),
    () => process.env.npm_config_node_gyp,
    () => join(prefix, 'lib/node_modules', ofNpm),
    () => join(prefix, 'share/nodejs', ofNpm),
  ];
  for (const candidate of candidates) {
    try {
      const path = candidate();
      if (path !== undefined && existsSync(path)) return path;
    } catch {
      // Not installed.
    }
  }
  return undefined;
}

const gyp = nodeGyp();
if (gyp === undefined) {
  console.error('There is no node-gyp, which npm brings along: npm install --global node-gyp');
  process.exit(1);
}
// The package has no such file: pnpm takes one for a script that it has to refuse, and fails.
const description = join(root, 'binding.gyp');
if (!existsSync(description))
  writeFileSync(description, "{ 'includes': ['native/targets.gypi'] }\n");
// Node's headers, where this Node brought them along; node-gyp fetches them otherwise.
const headers = existsSync(join(prefix, 'include/node/node_api.h')) ? [`--nodedir=${prefix}`] : [];
const { status, error } = spawnSync(
  process.execPath,
  [gyp, 'rebuild', '--jobs=max', ...headers, ...process.argv.slice(2)],
  { cwd: root, stdio: 'inherit' },
);
if (error !== undefined) console.error(error.message);
process.exitCode = status ?? 1;
