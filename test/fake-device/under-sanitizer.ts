/** Runs a script of ours with the sanitized addon, on a fake machine, and says what came of it. */
import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { runChild, type Exit } from '../lifecycle/run-child.js';
import { nobodyLeft } from '../support/nobody-left.js';
import { foundIn } from '../support/proc.js';
import type { FakeMachine } from './machine.js';
import { readReports, sanitizerOptions, type Sanitizer } from './reports.js';

/** What build.mjs exports. */
export interface Builder {
  readonly machinePath: string;
  readonly libraryDir: string;
  packageOf(sanitizer: Sanitizer): string;
  preloadsOf(sanitizer: Sanitizer): Promise<string[]>;
  preloadsWithoutMemory(sanitizer: Sanitizer): Promise<string[]>;
  missingTool(sanitizer: Sanitizer): Promise<string | undefined>;
  build(wanted: Sanitizer[]): Promise<string[]>;
}

/** What is left when a program has ended, its keepers included. */
export interface Outcome extends Exit {
  /** Of the sanitizers. */
  readonly reports: readonly string[];
  /** Requests that the kernel should never have seen. */
  readonly faults: readonly string[];
  /** Lockspaces that nobody has given up. */
  readonly spaces: number;
}

/** The keepers of the machine in that folder. */
export function keepersOn(folder: string): number[] {
  return foundIn('/proc', (path) => {
    if (!readFileSync(`${path}/cmdline`, 'utf8').startsWith('stackglue-keeper\0')) return [];
    const environment = readFileSync(`${path}/environ`, 'utf8').split('\0');
    return environment.includes(`STACKGLUE_FAKE_MACHINE=${folder}`) ? [Number(basename(path))] : [];
  });
}

/** The machine in that folder, a process of its own. */
export function machineOn(folder: string): number[] {
  return foundIn('/proc', (path) => {
    const [, ...args] = readFileSync(`${path}/cmdline`, 'utf8').split('\0');
    return args.join() === `${folder},` ? [Number(basename(path))] : [];
  });
}

/**
 * Runs `script`, by its path in dist/, to its end and that of its keepers. By itself it has stack `user` on
 * the machine, as if there were libdlm.
 */
export async function runUnder(
  builder: Builder,
  sanitizer: Sanitizer,
  machine: FakeMachine,
  script: string,
  args: string[] = [],
  options: { env?: Record<string, string>; leaks?: boolean; failsToAllocate?: boolean } = {},
): Promise<Outcome> {
  const { env = {}, leaks = false, failsToAllocate = false } = options;
  const { folder, control } = machine;
  const preloads = failsToAllocate
    ? builder.preloadsWithoutMemory(sanitizer)
    : builder.preloadsOf(sanitizer);
  const child = runChild(
    pathToFileURL(join(builder.packageOf(sanitizer), 'dist', script)),
    args,
    [],
    {
      ...sanitizerOptions(folder, { leaks, isFirst: !failsToAllocate }),
      LD_PRELOAD: (await preloads).join(' '),
      LD_LIBRARY_PATH: builder.libraryDir,
      STACKGLUE_FAKE_MACHINE: folder,
      ...env,
    },
  );
  const exit = await child.exit;
  await control.tell('calm');
  await nobodyLeft(() => keepersOn(folder).map((pid) => `keeper ${pid}`));
  await control.tell('drained');
  const { faults, spaces } = await control.state();
  return { ...exit, reports: readReports(folder), faults, spaces };
}
