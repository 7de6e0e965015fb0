#!/usr/bin/env node
/**
 * Checks the C and C++ sources with clang-format, or with --write formats them. Where clang-format is
 * not installed it says so and succeeds, except in CI.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

const sources = Object.entries({
  native: /\.(cc|h)$/,
  test: /\.(c|cc|h)$/,
  scripts: /\.(c|cc|h)$/,
}).flatMap(([folder, wanted]) =>
  existsSync(join(root, folder))
    ? readdirSync(join(root, folder), { recursive: true })
        .filter((name) => wanted.test(name))
        .map((name) => join(folder, name))
    : [],
);

const mode = process.argv.includes('--write') ? ['-i'] : ['--dry-run', '--Werror'];
const { error, status } = spawnSync('clang-format', [...mode, ...sources], {
  cwd: root,
  stdio: 'inherit',
});
if (error?.code === 'ENOENT') {
  console.error('clang-format is not installed: the C and C++ sources were not checked');
  process.exitCode = process.env.CI === 'true' ? 1 : 0;
} else if (error) {
  throw error;
} else {
  process.exitCode = status ?? 1;
}
