#!/usr/bin/env node
/**
 * What the addon and the keeper are made of: one list for targets.gypi, which builds them for this machine, and
 * for scripts/prebuild, which builds them for others.
 *
 *     node native/programs.mjs stackglue sources | defines
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));

const { version } = JSON.parse(readFileSync(join(here, '../package.json'), 'utf8'));

/** The sources in folders of native/, relative to the package. */
const inFolders = (...folders) =>
  folders.flatMap((folder) =>
    readdirSync(join(here, folder))
      .filter((file) => file.endsWith('.cc'))
      .sort()
      .map((file) => `native/${folder}/${file}`),
  );

/** By it the addon and the keeper know each other. */
const VERSION = `STACKGLUE_VERSION=${version}`;

export const programs = {
  stackglue: {
    sources: [
      'native/addon.cc',
      ...inFolders(
        'binding',
        'emulation',
        'order',
        'kernel',
        'user',
        'fsdlm',
        'o2dlm',
        'simulator',
      ),
    ],
    defines: [
      'NAPI_VERSION=8',
      'NODE_ADDON_API_DISABLE_CPP_EXCEPTIONS',
      // While a worker thread is being terminated nothing can be thrown; that must not abort.
      'NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS',
      VERSION,
    ],
  },
  'stackglue-keeper': {
    sources: [
      ...inFolders('keeper'),
      'native/kernel/device_protocol.cc',
      'native/kernel/submitter.cc',
    ],
    defines: [VERSION],
  },
};

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [, , name, what] = process.argv;
  console.log(programs[name][what].join('\n'));
}
