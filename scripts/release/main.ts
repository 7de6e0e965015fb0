/** `npm run release -- --dry-run`: makes what would be published, checks it, and lists it. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { commandLine } from '../arguments.js';
import { installPinned } from '../pinned.js';
import { checkPrebuilds, prebuild, removePrebuilds } from '../prebuild/prebuild.js';
import { TARGETS } from '../prebuild/targets.js';
import { PROJECT_ROOT } from '../vm/paths.js';
import { runTool } from '../vm/tools.js';
import { pack, type Packed } from './pack.js';

/** In bytes. More than this is an oversight. */
const SIZE_MAX = 3_000_000;

const { dryRun } = commandLine('npm run release --')
  .description(
    'Makes the tarball that would be published, into .cache/release, checks it and lists it.',
  )
  .option('--dry-run', 'without which nothing is done: publishing is a step of its own')
  .parse()
  .opts<{ dryRun?: true }>();

/** What a person has to see to; see README.md. */
async function checkList(): Promise<string[]> {
  const manifest = JSON.parse(await readFile(join(PROJECT_ROOT, 'package.json'), 'utf8')) as Record<
    string,
    unknown
  >;
  const changelog = await readFile(join(PROJECT_ROOT, 'CHANGELOG.md'), 'utf8');
  const status = await runTool('git', ['status', '--porcelain'], { cwd: PROJECT_ROOT });
  return [
    ...['repository', 'bugs', 'homepage']
      .filter((field) => manifest[field] === undefined)
      .map((field) => `package.json has no "${field}": only its maintainer knows it`),
    ...(changelog.includes(`## [${String(manifest.version)}]`)
      ? []
      : [`CHANGELOG.md has no heading for ${String(manifest.version)}`]),
    ...(status === '' ? [] : ['there are changes that are not committed']),
    "compare the compiler's checksum with that of zig's own release (scripts/prebuild/README.md)",
  ];
}

/** What is wrong with the tarball, a sentence each. */
async function faultsOf(packed: Packed): Promise<string[]> {
  const tools = await installPinned('scripts/release/tools');
  const faults = await checkPrebuilds();
  for (const { name } of TARGETS) {
    for (const [file, mode] of [
      ['stackglue.node', 0o644],
      ['stackglue-keeper', 0o755],
    ] as const) {
      const path = `prebuilds/${name}/${file}`;
      if (packed.files.find((each) => each.path === path)?.mode !== mode) {
        faults.push(`${path} is not in the tarball with mode ${mode.toString(8)}`);
      }
    }
  }
  if (packed.size > SIZE_MAX) {
    faults.push(`the tarball has ${packed.size} bytes, and ${SIZE_MAX} are the most`);
  }
  for (const [tool, ...args] of [
    ['publint', packed.path, '--strict'],
    ['attw', packed.path, '--profile', 'esm-only'],
  ] as const) {
    try {
      await runTool(process.execPath, [join(tools, '.bin', tool), ...args]);
    } catch (error) {
      faults.push((error as Error).message);
    }
  }
  return faults;
}

if (dryRun !== true) {
  console.error('Nothing is published from here: npm run release -- --dry-run says what would be.');
  process.exitCode = 2;
} else {
  await removePrebuilds();
  await prebuild(TARGETS);
  const packed = await pack(join(PROJECT_ROOT, '.cache', 'release'));
  for (const { path, size, mode } of packed.files) {
    console.log(`${mode.toString(8)} ${String(size).padStart(9)}  ${path}`);
  }
  console.log(`\n${packed.path}: ${packed.files.length} files, ${packed.size} bytes`);
  const faults = await faultsOf(packed);
  for (const fault of faults) console.error(`fault: ${fault}`);
  for (const each of await checkList()) console.log(`to do: ${each}`);
  process.exitCode = faults.length === 0 ? 0 : 1;
}
