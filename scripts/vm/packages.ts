/**
 * Debian packages: which ones the host must have, and getting those that the guest is made of.
 *
 * No version is written down anywhere: package lists decide (package-lists.ts). What was chosen is
 * recorded beside the unpacked files, and stays until somebody asks for a refresh.
 */

import { existsSync } from 'node:fs';
import { mkdir, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import {
  architectureOf,
  factsOf,
  HOST_ARCHITECTURE,
  isForeign,
  type Architecture,
} from './architecture.js';
import { buildOnce } from './cached.js';
import { VmError } from './errors.js';
import { PackageLists } from './package-lists.js';
import { cacheFolder } from './paths.js';
import { step, type Progress } from './progress.js';
import { findTool, runTool } from './tools.js';

/** Each program that the harness starts on the host, and the Debian package that has it. */
const HOST_TOOLS: Readonly<Record<string, string>> = {
  'apt-get': 'apt',
  'dpkg-deb': 'dpkg',
  mke2fs: 'e2fsprogs',
  xz: 'xz-utils',
  zstd: 'zstd',
  readelf: 'binutils',
  flock: 'util-linux',
  setpriv: 'util-linux',
};

/** What makes the machine, and what compiles for it: a program, or a file, and its Debian package. */
function toolsFor(architecture: Architecture): Readonly<Record<string, string>> {
  const { debian, triplet, qemu, qemuPackage } = factsOf(architecture);
  // The C library's static half has no program to look for, but a header that comes with it.
  const compiler = isForeign(architecture)
    ? {
        [compilerFor(architecture)]: `gcc-${triplet}`,
        [`/usr/${triplet}/include/stdlib.h`]: `libc6-dev-${debian}-cross`,
      }
    : { [compilerFor(architecture)]: 'gcc', '/usr/include/stdlib.h': 'libc6-dev' };
  return { [qemu]: qemuPackage, ...compiler };
}

/** The C compiler for guests with this processor. */
export function compilerFor(architecture: Architecture): string {
  return isForeign(architecture) ? `${factsOf(architecture).triplet}-gcc` : 'gcc';
}

/** Debian packages that must be installed on this host for guests with this processor, and are not. */
export function missingHostPackages(architecture: Architecture = HOST_ARCHITECTURE): string[] {
  const missing = new Set<string>();
  for (const [sign, name] of Object.entries({ ...HOST_TOOLS, ...toolsFor(architecture) })) {
    const isThere = sign.startsWith('/') ? existsSync(sign) : findTool(sign) !== undefined;
    if (!isThere) missing.add(name);
  }
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
  /** The file tree of the kernel's packages. */
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

/** What to make a set of. */
export interface PackageChoice {
  /**
   * A kernel package or a metapackage that depends on one, of this host's lists, or, as
   * `NAME/SUITE`, of another suite of Debian. Everything else is for the same processor.
   */
  readonly kernel: string;
  /** The suite of Debian that everything else is of; this host's if undefined. */
  readonly userland?: string | undefined;
}

/** The folder's name of what was chosen. */
export function nameOfChoice({ kernel, userland }: PackageChoice): string {
  const name = kernel.replace('/', '@');
  return userland === undefined ? name : `${name}+${userland}`;
}

/**
 * The packages for a kernel: those already in the cache, or else downloaded and unpacked.
 * Call it under the cache's lock.
 *
 * @param folder where they are kept; it appears complete or not at all.
 * @throws {VmError} `unavailable` when a suite's packages cannot be had, `build` for all else.
 */
export async function providePackages(
  folder: string,
  choice: PackageChoice,
  refresh: boolean,
  progress: Progress,
): Promise<PackageSet> {
  if (refresh || !(await hasPackages(folder))) {
    const fresh = `${folder}.new`; // what there is stays until there is something newer
    await rm(fresh, { recursive: true, force: true });
    await buildOnce(fresh, (work) => downloadPackages(work, choice, progress));
    await rm(folder, { recursive: true, force: true });
    await rename(fresh, folder);
  }
  const { kernelPackage, packages } = await readRecord(folder);
  const [rootFolder, kernelFolder] = [join(folder, 'root'), join(folder, 'kernel')];
  return { kernelPackage, packages, rootFolder, kernelFolder };
}

async function downloadPackages(
  work: string,
  { kernel, userland }: PackageChoice,
  progress: Progress,
): Promise<void> {
  const [kernelName = kernel, kernelSuite] = kernel.split('/');
  const architecture = architectureOf(kernelName);
  const kernelLists = await listsOf(kernelSuite, architecture);
  const guestLists = await listsOf(userland, architecture);
  const { kernelPackages, guestPackages } = await step(
    progress,
    `Choosing packages for ${kernel}`,
    async () => ({
      kernelPackages: await chooseKernel(kernelLists, kernelName),
      guestPackages: await chooseGuest(guestLists),
    }),
  );
  const [kernelPackage = kernelName] = kernelPackages;
  const archives = join(work, 'archives');
  await mkdir(archives);
  const count = kernelPackages.length + guestPackages.length;
  await step(progress, `Downloading ${count} packages (${kernelPackage})`, async () => {
    await kernelLists.download(kernelPackages, archives);
    await guestLists.download(guestPackages, archives);
  });
  const files = (await readdir(archives)).filter((file) => file.endsWith('.deb')).sort();
  await step(progress, `Unpacking ${files.length} packages`, async () => {
    for (const file of files) {
      const isKernel = kernelPackages.includes(file.slice(0, file.indexOf('_')));
      const target = join(work, isKernel ? 'kernel' : 'root');
      await runTool('dpkg-deb', ['-x', join(archives, file), target]);
    }
  });
  await rm(archives, { recursive: true });
  const packages = files.map((file) => decodeURIComponent(file.split('_').slice(0, 2).join('_')));
  const record: PackageRecord = { kernelPackage, packages, chosenFor: GUEST_PACKAGES };
  await writeFile(join(work, RECORD), JSON.stringify(record, null, 2));
}

async function listsOf(
  suite: string | undefined,
  architecture: Architecture,
): Promise<PackageLists> {
  const folderOf = (name: string): string => join(cacheFolder(), 'lists', name);
  const other = isForeign(architecture) ? factsOf(architecture).debian : undefined;
  if (suite !== undefined) {
    const name = other === undefined ? suite : `${suite}@${other}`;
    return PackageLists.ofSuite(suite, folderOf(name), other);
  }
  return other === undefined
    ? PackageLists.host()
    : PackageLists.ofArchitecture(other, folderOf(other));
}

/** The package that a kernel's name leads to first, and those that it is split into. */
async function chooseKernel(lists: PackageLists, kernel: string): Promise<string[]> {
  if (!(await lists.has(kernel))) {
    if (!lists.mayUpdate) {
      throw new VmError(
        'build',
        `The package lists of ${lists.whose} do not have ${kernel}. Run "apt-get update" as root, ` +
          'or choose another kernel.',
      );
    }
    await lists.update();
    if (!(await lists.has(kernel))) {
      throw new VmError('build', `The package lists of ${lists.whose} have no kernel ${kernel}.`);
    }
  }
  const needed = await lists.dependencies([kernel]);
  const image = needed.find((name) => name.startsWith('linux-image-'));
  if (image !== undefined) return chooseKernel(lists, image);
  // From 7.x on Debian has the program, the modules and what both need in packages of their own.
  return [kernel, ...needed.filter((name) => /^linux-(?:binary|modules|base)-\d/.test(name))];
}

async function chooseGuest(lists: PackageLists): Promise<string[]> {
  const chosen = new Set(GUEST_PACKAGES);
  for (let wave = GUEST_PACKAGES; wave.length > 0;) {
    const needed = await lists.dependencies(wave);
    // Only libraries: the programs that Debian adds for installing and for systemd stay out.
    wave = needed.filter((name) => isLibrary(name) && !chosen.has(name));
    for (const name of wave) chosen.add(name);
  }
  return [...chosen].sort();
}

function isLibrary(name: string): boolean {
  return name.startsWith('lib') || name.startsWith('zlib');
}
