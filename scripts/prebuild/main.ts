/** `npm run prebuilds`: the addon and the keeper for other machines than this one. */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { commandLine, oneOf } from '../arguments.js';
import { checkPrebuilds, prebuild, PREBUILDS, removePrebuilds } from './prebuild.js';
import { TARGETS } from './targets.js';

const names = TARGETS.map(({ name }) => name);
const command = commandLine('npm run prebuilds --')
  .description(
    'Builds the binaries that the package brings along, into prebuilds/, and checks them.',
  )
  .argument('[targets...]', `of ${names.join(', ')}; all by default`)
  .option('--check', 'build nothing: only check what is there')
  .parse();
const { check } = command.opts<{ check?: true }>();
const parseName = oneOf(names);
const wanted = command.args.map((name) => parseName(name));
const targets = TARGETS.filter(({ name }) => wanted.length === 0 || wanted.includes(name));

if (!check) {
  if (wanted.length === 0) await removePrebuilds();
  for (const target of targets) {
    const start = performance.now();
    await prebuild([target]);
    console.log(`${target.name}: ${((performance.now() - start) / 1000).toFixed(0)} s`);
  }
}
const faults = await checkPrebuilds(targets);
for (const fault of faults) console.error(fault);
if (faults.length > 0) {
  process.exitCode = 1;
} else {
  const sums = await readFile(join(PREBUILDS, 'SHA256SUMS'), 'utf8');
  for (const [, sum = '', path = ''] of sums.matchAll(/^(\S+) {2}(.*)$/gm)) {
    const { size } = await stat(join(PREBUILDS, path));
    console.log(`${sum.slice(0, 16)}  ${(size / 1024).toFixed(0).padStart(5)} KiB  ${path}`);
  }
}
