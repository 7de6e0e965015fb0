#!/usr/bin/env node
/**
 * Checks that imports and includes only point down, as CONTRIBUTING.md shows the layers, and that each
 * stack's folder has the same files. Prints what does not hold and exits 1.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** From the top down: a file may import from its own row and from those below it. */
const LIB_LAYERS = [
  /^lib\/index\.ts$/,
  /^lib\/(web-locks|recipes)\//,
  // Cached locks are a part of the locks' interface.
  /^lib\/(locks|cached)\//,
  /^lib\/tokens\//,
  /^lib\/conformance\//,
  /^lib\/simulator\//,
  /^lib\/glue\.ts$/,
  /^lib\/stacks\//,
  /^lib\/stackglue\//,
  /^lib\/(native|load-failure|addon-place)\.ts$/,
  /^lib\/(errors|status|constants|shared|abort-signal|async-handler)\.ts$/,
];
/** What a folder of native/ must not include. */
const FORBIDDEN_INCLUDES = {
  'native/util':
    /^(napi|node|uv|js_native)|^(\.\.\/)*(o2dlm|fsdlm|order|user|kernel|emulation|simulator|binding|keeper)\//,
  'native/order':
    /^(napi|node|uv|js_native)|^(\.\.\/)*(o2dlm|fsdlm|user|kernel|emulation|simulator|binding|keeper)\//,
  'native/o2dlm':
    /^(napi|node|uv|js_native)|^(\.\.\/)*(fsdlm|user|kernel|emulation|simulator|binding|keeper)\//,
  'native/fsdlm':
    /^(napi|node|uv|js_native)|^(\.\.\/)*(o2dlm|user|kernel|emulation|simulator|binding|keeper)\//,
  'native/user':
    /^(napi|node|uv|js_native)|^(\.\.\/)*(o2dlm|fsdlm|kernel|emulation|simulator|binding|keeper)\//,
  'native/kernel': /^(napi|uv)\b|^(\.\.\/)*(o2dlm|fsdlm|emulation|simulator|binding|keeper)\//,
  'native/emulation':
    /^(napi|node|uv|js_native)|^(\.\.\/)*(kernel|binding|keeper|o2dlm|simulator)\//,
  'native/simulator': /^(napi|node|uv|js_native)|^(\.\.\/)*(kernel|emulation|binding|keeper)\//,
  'native/keeper': /^(napi|uv)\b|^(\.\.\/)*(o2dlm|fsdlm|emulation|simulator|binding)\//,
};
/** Each of these folders stands alone, on the locks. */
const ON_LOCKS = /^lib\/(web-locks|recipes)\//;
const STACK_FILES = ['index.ts', 'flags.ts', 'status.ts', 'operations.ts'];

const faults = [];

const filesIn = (folder) =>
  readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length));

const layerOf = (path) => LIB_LAYERS.findIndex((layer) => layer.test(path));
const stackOf = (path) => /^lib\/stacks\/([^/]+)\//.exec(path)?.[1];

for (const path of filesIn('lib')) {
  if (layerOf(path) < 0) faults.push(`${path}: is in none of the layers of this check`);
  const imports = readFileSync(join(root, path), 'utf8').matchAll(
    /(?:\bfrom|\bimport)[\s(]+'(\.[^']+)'/g,
  );
  for (const [, specifier] of imports) {
    const target = posix.join(posix.dirname(path), specifier).replace(/\.js$/, '.ts');
    const fromStack = stackOf(path);
    const toStack = stackOf(target);
    // What the stacks share lies in lib/stacks itself; it knows none of them.
    const isSideways =
      toStack !== undefined && toStack !== fromStack && !/^lib\/(glue\.ts$|simulator\/)/.test(path);
    // What is made of locks could be anybody's program: it uses what is public, and so can be read as an example.
    const isInside =
      ON_LOCKS.test(path) && target.startsWith('lib/locks/') && target !== 'lib/locks/index.ts';
    const isBeside =
      ON_LOCKS.exec(path)?.[1] !== (ON_LOCKS.exec(target)?.[1] ?? ON_LOCKS.exec(path)?.[1]);
    if (layerOf(target) < layerOf(path) || isSideways || isInside || isBeside) {
      faults.push(`${path}: must not import ${target}`);
    }
  }
}

for (const entry of readdirSync(join(root, 'lib/stacks'), { withFileTypes: true })) {
  for (const name of entry.isDirectory() ? STACK_FILES : []) {
    const path = `lib/stacks/${entry.name}/${name}`;
    if (!existsSync(join(root, path))) faults.push(`${path}: is missing`);
  }
}

for (const [folder, forbidden] of Object.entries(FORBIDDEN_INCLUDES)) {
  for (const path of filesIn(folder)) {
    const includes = readFileSync(join(root, path), 'utf8').matchAll(
      /^#\s*include\s+[<"](.+?)[>"]/gm,
    );
    for (const [, header] of includes) {
      if (forbidden.test(header)) faults.push(`${path}: must not include ${header}`);
    }
  }
}

for (const fault of faults) console.error(fault);
process.exitCode = faults.length === 0 ? 0 : 1;
