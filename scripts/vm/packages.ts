/**
 * Debian packages: which ones the host must have, and getting those that the guest is made of.
 *
 * No version is written down anywhere: the host's own package lists decide. What was chosen is
 * recorded beside the unpacked files, and stays until somebody asks for a refresh.
 */

import { existsSync } from 'node:fs';
import { mkdir, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { buildOnce } from './cached.js';
import { VmError } from './errors.js';
import { step, type Progress } from './progress.js';
import { findTool, runTool } from './tools.js';

/** Each program that the harness starts on the host, and the Debian package that has it. */
const HOST_TOOLS: Readonly<Record<string, string>> = {
  'qemu-system-x86_64': 'qemu-system-x86',
  'apt-get': 'apt',
  'dpkg-deb': 'dpkg',
  mke2fs: 'e2fsprogs',
  xz: 'xz-utils',
  zstd: 'zstd',
  readelf: 'binutils',
  gcc: 'gcc',
  flock: 'util-linux',
  setpriv: 'util-linux',
};

/** The C library's static half has no program to look for, but a header that comes with it. */
const C_LIBRARY = { file: '/usr/include/stdlib.h', package: 'libc6-dev' };

/** Debian packages that must be installed on the host, each once. */
export const HOST_PACKAGES: readonly string[] = [
  ...new Set([...Object.values(HOST_TOOLS), C_LIBRARY.package]),
];

/** Those of {@link HOST_PACKAGES} that this host lacks. */
export function missingHostPackages(): string[] {
  const missing = new Set<string>();
  for (const [tool, name] of Object.entries(HOST_TOOLS)) if (!findTool(tool)) missing.add(name);
  if (!existsSync(C_LIBRARY.file)) missing.add(C_LIBRARY.package);
  return [...missing];
}

/** The kernel that is used when nobody asks for another: Debian's name for its newest. */
export const DEFAULT_KERNEL = 'linux-image-amd64';

/** What the guest is made of, beside the kernel; their libraries follow from their dependencies. */
export const GUEST_PACKAGES: readonly string[] = [
  ...['busybox-static', 'corosync', 'dlm-controld', 'libdlm3', 'libstdc++6', 'udev'],
];

/** Unpacked packages, ready to make images from. */
export interface PackageSet {
  /** The file tree of the guest's packages. */
  readonly rootFolder: string;
  /** The file tree of the kernel's package. */
  readonly kernelFolder: string;
  /** The kernel's real package name, such as `linux-image-6.1.0-56-amd64`. */
  readonly kernelPackage: string;
  /** `name_version` of every package, sorted. */
  readonly packages: readonly string[];
}

const RECORD = 'packages.json';

interface PackageRecord {
  readonly kernelPackage: string;
  readonly packages: readonly string[];
  /** The GUEST_PACKAGES of that time; sets from before they were noted do not have it. */
  readonly chosenFor?: readonly string[];
}

async function readRecord(folder: string): Promise<PackageRecord> {
  return JSON.parse(await readFile(join(folder, RECORD), 'utf8')) as PackageRecord;
}

/**
 * Whether there is a set of packages in the cache with all that guests are made of: they may have come
 * to need others since it was downloaded.
 */
export async function hasPackages(folder: string): Promise<boolean> {
  if (!existsSync(folder)) return false;
  const { chosenFor = [] } = await readRecord(folder);
  return GUEST_PACKAGES.every((name) => chosenFor.includes(name));
}

/**
 * The packages for a kernel: those already in the cache, or else downloaded and unpacked.
 * Call it under the cache's lock.
 *
 * @param folder where they are kept; it appears complete or not at all.
 * @param kernel a kernel package or a metapackage that depends on one.
 */
export async function providePackages(
  folder: string,
  kernel: string,
  refresh: boolean,
  progress: Progress,
): Promise<PackageSet> {
  if (refresh || !(await hasPackages(folder))) {
    const fresh = `${folder}.new`; // what there is stays until there is something newer
    await rm(fresh, { recursive: true, force: true });
    await buildOnce(fresh, (work) => downloadPackages(work, kernel, progress));
    await rm(folder, { recursive: true, force: true });
    await rename(fresh, folder);
  }
  const { kernelPackage, packages } = await readRecord(folder);
  const [rootFolder, kernelFolder] = [join(folder, 'root'), join(folder, 'kernel')];
  return { kernelPackage, packages, rootFolder, kernelFolder };
}

async function downloadPackages(work: string, kernel: string, progress: Progress): Promise<void> {
  const { kernelPackage, guestPackages } = await step(
    progress,
    `Choosing packages for ${kernel}`,
    () => choosePackages(kernel),
  );
  const names = [kernelPackage, ...guestPackages];
  const archives = join(work, 'archives');
  await mkdir(archives);
  await step(progress, `Downloading ${names.length} packages (${kernelPackage})`, () =>
    download(names, archives),
  );
  const files = (await readdir(archives)).filter((file) => file.endsWith('.deb')).sort();
  await step(progress, `Unpacking ${files.length} packages`, async () => {
    for (const file of files) {
      const target = file.startsWith(`${kernelPackage}_`) ? 'kernel' : 'root';
      await runTool('dpkg-deb', ['-x', join(archives, file), join(work, target)]);
    }
  });
  await rm(archives, { recursive: true });
  const packages = files.map((file) => decodeURIComponent(file.split('_').slice(0, 2).join('_')));
  const record: PackageRecord = { kernelPackage, packages, chosenFor: GUEST_PACKAGES };
  await writeFile(join(work, RECORD), JSON.stringify(record, null, 2));
}

async function choosePackages(
  kernel: string,
): Promise<{ kernelPackage: string; guestPackages: string[] }> {
  if (!(await isKnown(kernel))) {
    if (process.getuid?.() !== 0) {
      throw new VmError(
        'build',
        `The package lists of this host do not have ${kernel}. Run "apt-get update" as root, ` +
          'or choose another kernel.',
      );
    }
    await runTool('apt-get', ['update', '-q']);
  }
  const kernelPackage = await resolveKernel(kernel);
  const guestPackages = new Set(GUEST_PACKAGES);
  for (let wave = GUEST_PACKAGES; wave.length > 0;) {
    const needed = await dependencies(wave);
    // Only libraries: the programs that Debian adds for installing and for systemd stay out.
    wave = needed.filter((name) => isLibrary(name) && !guestPackages.has(name));
    for (const name of wave) guestPackages.add(name);
  }
  return { kernelPackage, guestPackages: [...guestPackages].sort() };
}

async function isKnown(name: string): Promise<boolean> {
  return (await runTool('apt-cache', ['pkgnames', name])).split('\n').includes(name);
}

function isLibrary(name: string): boolean {
  return name.startsWith('lib') || name.startsWith('zlib');
}

/** Follows metapackages to the package that has the kernel in it. */
async function resolveKernel(kernel: string): Promise<string> {
  const found = (await dependencies([kernel])).find((name) => name.startsWith('linux-image-'));
  if (found) return resolveKernel(found);
  if (!(await isKnown(kernel))) {
    throw new VmError('build', `The package lists of this host have no kernel package ${kernel}.`);
  }
  return kernel;
}

/** The packages that these depend on directly; of alternatives, the first. */
async function dependencies(names: readonly string[]): Promise<string[]> {
  const text = await runTool('apt-cache', ['depends', '--important', ...names]);
  const found: string[] = [];
  let alternative = false;
  for (const line of text.split('\n')) {
    const match = /^ (.)(?:Pre)?Depends: (?:<.*>|(\S+))$/.exec(line);
    if (!match) continue;
    if (match[2] !== undefined && !alternative) found.push(match[2].replace(/:.*/, ''));
    alternative = match[1] === '|';
  }
  return found;
}

async function download(names: readonly string[], folder: string): Promise<void> {
  // Without root there is no other user to drop to, and with root that user cannot write here.
  const args = ['download', '-q', '-o', 'APT::Sandbox::User=', ...names];
  try {
    await runTool('apt-get', args, { cwd: folder });
  } catch (error) {
    // Lists that are older than the archive name versions that it no longer has.
    if (process.getuid?.() !== 0) throw error;
    await runTool('apt-get', ['update', '-q']);
    await runTool('apt-get', args, { cwd: folder });
  }
}
