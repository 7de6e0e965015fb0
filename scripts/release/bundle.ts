/**
 * The JavaScript of the tarball: what tsc has made, in few files. To find, read and link a module costs half a
 * millisecond, whatever is in it, and the package has a hundred.
 *
 * Each entry is a file where package.json has it; what several of them use is in a file that they share, so that
 * there is one of each class and of each state, whoever imports it. It lies in `dist/lib` itself: from there
 * lib/addon-place.ts finds the package's folder.
 */
import { build, type Plugin } from 'esbuild';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';

import { PROJECT_ROOT } from '../vm/paths.js';

const COMPILED = 'dist/lib';

/** What package.json says that can be imported, of {@link COMPILED}. */
async function entryPoints(): Promise<string[]> {
  const { exports } = JSON.parse(await readFile(join(PROJECT_ROOT, 'package.json'), 'utf8')) as {
    exports: Record<string, string | { default: string }>;
  };
  return Object.values(exports).flatMap((each) => (typeof each === 'object' ? [each.default] : []));
}

/**
 * Has each of these files import the main entry. What it has is then shared by all of them, and so in one file;
 * esbuild would make a file for each set of entries that share something.
 */
const withMain = (main: string, entries: readonly string[]): Plugin => ({
  name: 'with-main',
  setup: (its) => {
    const others = new Set(entries.map((path) => join(PROJECT_ROOT, path)));
    const whole = join(PROJECT_ROOT, main);
    others.delete(whole);
    its.onLoad({ filter: /\.js$/ }, async ({ path }) => {
      if (!others.has(path)) return undefined;
      const text = await readFile(path, 'utf8');
      return { contents: `${text}\nimport ${JSON.stringify(whole)};\n` };
    });
  },
});

/**
 * Takes what is imported of Node.js by `process.getBuiltinModule`. For an import Node.js looks at all that the
 * module exports, and to look at `node:fs` is to load its streams: two milliseconds at every start.
 */
const builtins: Plugin = {
  name: 'builtins',
  setup: (its) => {
    its.onResolve({ filter: /^node:/ }, ({ path }) => ({ path, namespace: 'builtin' }));
    its.onLoad({ filter: /^/, namespace: 'builtin' }, ({ path }) => {
      const names = Object.keys(process.getBuiltinModule(path) ?? {}).filter(
        (name) => name !== 'default',
      );
      const own = path.replaceAll(/\W/g, '_');
      return {
        contents: [
          `const ${own} = process.getBuiltinModule('${path}');`,
          `export default ${own};`,
          // What is pure and not imported is left out.
          ...names.map(
            (name) => `export const ${name} = /* @__PURE__ */ (() => ${own}.${name})();`,
          ),
        ].join('\n'),
      };
    });
  },
};

/**
 * A class that names itself in its body has become `var Name = class _Name`, and would be called `_Name` in
 * errors and stack traces. It gets its name back; a space keeps the columns that the source map knows.
 */
function withNames(text: string): string {
  const renamed = [...text.matchAll(/^var (\w+) = class _\1\b/gm)].map(([, name = '']) => name);
  return renamed.reduce(
    (all, name) => all.replaceAll(new RegExp(String.raw`(?<![\w$#.])_${name}\b`, 'g'), ` ${name}`),
    text,
  );
}

/** Writes the JavaScript of the tarball, and its source maps, into `dist/lib` of `folder`. */
export async function bundle(folder: string): Promise<void> {
  const entries = await entryPoints();
  const [main = ''] = entries;
  const { outputFiles } = await build({
    absWorkingDir: PROJECT_ROOT,
    entryPoints: entries,
    plugins: [withMain(main, entries), builtins],
    outbase: COMPILED,
    // Written elsewhere: source maps name their sources as from here.
    outdir: COMPILED,
    write: false,
    chunkNames: 'shared-[hash]',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20.19',
    packages: 'external',
    sourcemap: true,
    // The package has them, in lib/.
    sourcesContent: false,
    logLevel: 'error',
  });
  for (const { path, text } of outputFiles) {
    const target = join(folder, relative(PROJECT_ROOT, path));
    await mkdir(dirname(target), { recursive: true });
    await writeFile(target, path.endsWith('.js') ? withNames(text) : text);
  }
}
