/** A copy of the compiled library in which something is wrong, and a module of the tests that runs on it. */
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import ts from 'typescript';

import { PROJECT_ROOT } from '../../scripts/vm/paths.js';

/** What is put in place of what, in a source of lib/ in which it is there once. */
export interface Edit {
  readonly file: string;
  readonly right: string;
  readonly wrong: string;
}

const COPIES = join(PROJECT_ROOT, '.cache', 'planted');
const COMPILED = join(PROJECT_ROOT, 'dist');
/** Serves all copies: a process has one of it. */
const NATIVE = 'lib/native.js';

/**
 * Imports a compiled module of the tests, by its path in the project, with a library of its own that has these faults.
 * `title` is of one such copy in the project, and a folder's name; `beside`: folders that the module imports from.
 */
export async function importWithFaults<Module>(
  title: string,
  edits: readonly Edit[],
  module: string,
  beside: readonly string[] = [],
): Promise<Module> {
  const folder = join(COPIES, title);
  rmSync(folder, { recursive: true, force: true });
  for (const part of ['lib', dirname(module), ...beside]) {
    cpSync(join(COMPILED, part), join(folder, part), { recursive: true });
  }
  const native = pathToFileURL(join(COMPILED, NATIVE)).href;
  writeFileSync(join(folder, NATIVE), `export * from ${JSON.stringify(native)};\n`);
  const files = new Set(edits.map(({ file }) => file));
  for (const file of files) {
    const path = join(folder, file.replace(/\.ts$/, '.js'));
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(
      path,
      compiled(
        file,
        edits.filter((edit) => edit.file === file),
      ),
    );
  }
  return (await import(pathToFileURL(join(folder, module)).href)) as Module;
}

function compiled(file: string, edits: readonly Edit[]): string {
  let source = readFileSync(join(PROJECT_ROOT, file), 'utf8');
  for (const { right, wrong } of edits) {
    const places = source.split(right).length - 1;
    if (places !== 1) {
      throw new Error(
        `${relative('.', file)} has ${places} places for the fault, not one: ${right}`,
      );
    }
    // A function, so that no `$` is taken for more than it is.
    source = source.replace(right, () => wrong);
  }
  return ts.transpileModule(source, {
    compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext },
  }).outputText;
}
