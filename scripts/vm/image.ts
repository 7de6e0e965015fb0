/**
 * What the virtual machines boot: a kernel, an initial file system made of Debian packages, and a
 * disk with Node.js. All of it is made once and kept in the cache.
 */

import { createHash } from 'node:crypto';
import { existsSync, lstatSync, readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { architectureOf, factsOf, type Architecture } from './architecture.js';
import { buildOnce, markUsed, removeOld } from './cached.js';
import { writeCpio } from './cpio.js';
import { addUdev, UDEV_PROGRAM } from './device-manager.js';
import { VmError } from './errors.js';
import { FileTree } from './file-tree.js';
import { placeOf } from './guest-root.js';
import { collectModules, extractKernel, findKernel, modulesDep } from './kernel.js';
import { withLock } from './lock.js';
import { buildNodeDisk, nodeIdentity } from './node-disk.js';
import {
  compilerFor,
  DEFAULT_KERNEL,
  hasPackages,
  missingHostPackages,
  nameOfChoice,
  providePackages,
  type PackageSet,
} from './packages.js';
import { GUEST_SOURCES, cacheFolder } from './paths.js';
import { SILENT, step, type Progress } from './progress.js';
import { runTool } from './tools.js';

/** Files on the host that QEMU boots from. None of them is ever written to again. */
export interface Image {
  /** The processor that all of it is for. */
  readonly architecture: Architecture;
  /** The kernel, unpacked. */
  readonly kernel: string;
  /** The initial file system, which is all of the guest but Node.js and the project. */
  readonly initramfs: string;
  /** A read-only ext4 disk with Node.js, and the libraries that the host's needs. */
  readonly nodeDisk: string;
  /** The kernel's package, such as `linux-image-6.1.0-56-amd64`. */
  readonly kernelPackage: string;
}

/** What to make an image from. */
export interface ImageOptions {
  /**
   * A Debian kernel package or metapackage; the default is the environment variable
   * STACKGLUE_VM_KERNEL or `linux-image-amd64`. `NAME/SUITE` is one of another suite of Debian,
   * such as `linux-image-amd64/trixie-backports`. The `-cloud` kernels have no lock manager. Its name
   * says for which processor the image is: `linux-image-arm64`.
   */
  kernel?: string | undefined;
  /**
   * The suite of Debian that corosync, dlm_controld, libdlm and all else in the guest are of, such as
   * `trixie`; the default is the environment variable STACKGLUE_VM_USERLAND, or what the host has.
   */
  userland?: string | undefined;
  /** Ask the package archive for newer versions, instead of keeping those in the cache. */
  refresh?: boolean | undefined;
}

/** Programs of the guest's packages that go into the image, with the libraries they need. */
const PROGRAMS = [
  'usr/sbin/corosync',
  'usr/sbin/corosync-cfgtool',
  'usr/sbin/corosync-cmapctl',
  'usr/sbin/corosync-cpgtool',
  'usr/sbin/corosync-quorumtool',
  'usr/sbin/dlm_controld',
  'usr/sbin/dlm_tool',
  UDEV_PROGRAM,
];

/** Libraries that no program above needs, but those do that are run from the project. */
const LIBRARIES = [
  'libdlm.so.3',
  'libdlm_lt.so.3',
  'libgcc_s.so.1', // loaded by name when a thread is cancelled
  'libstdc++.so.6',
  'libm.so.6',
  'libdl.so.2',
  'libpthread.so.0',
  'librt.so.1',
];

function libraryFolders(architecture: Architecture): string[] {
  const { triplet } = factsOf(architecture);
  return [
    ...[`usr/lib/${triplet}`, `lib/${triplet}`, 'usr/lib', 'lib'],
    `usr/lib/${triplet}/systemd`, // newer udev's own
  ];
}

/** C programs of the harness that run in the guest. */
const GUEST_PROGRAMS = ['agent', 'dlm-hands'];

const FOLDERS = [
  ...['bin', 'dev', 'dlm', 'etc', 'etc/corosync', 'etc/dlm', 'mnt', 'opt', 'opt/node'],
  ...['proc', 'project', 'root', 'run', 'sys', 'tmp', 'usr', 'usr/bin', 'usr/sbin', 'usr/lib'],
  ...['var', 'var/lib', 'var/lib/corosync', 'var/log', 'var/log/cluster'],
  'var/log/dlm_controld',
];

/**
 * The image for a kernel, with its Node.js: from the cache when nothing that it is
 * made of has changed (a few milliseconds, no network), or else made now (some 20 s with the
 * download). Several processes may call it at once.
 *
 * @throws {VmError} `build` when packages cannot be had or a tool fails, `unavailable` when it is
 * packages of another suite.
 */
export async function prepareImage(
  options: ImageOptions = {},
  progress: Progress = SILENT,
): Promise<Image> {
  const cache = cacheFolder();
  const choice = {
    kernel: options.kernel ?? process.env.STACKGLUE_VM_KERNEL ?? DEFAULT_KERNEL,
    userland: options.userland ?? process.env.STACKGLUE_VM_USERLAND,
  };
  await mkdir(cache, { recursive: true });
  return withLock(join(cache, 'lock'), async () => {
    const architecture = architectureOf(choice.kernel);
    const packageFolder = join(cache, 'packages', nameOfChoice(choice));
    const nodeFolder = join(cache, 'images', `node-${hash(nodeIdentity(architecture))}`);
    const hasAll = (await hasPackages(packageFolder)) && existsSync(nodeFolder);
    if (options.refresh || !hasAll) {
      refuseWithoutTools(architecture);
    }
    const packages = await providePackages(
      packageFolder,
      choice,
      options.refresh ?? false,
      progress,
    );
    const guestFolder = join(
      cache,
      'images',
      `guest-${hash([...packages.packages, ...sources()])}`,
    );
    await buildOnce(guestFolder, (work) => buildGuest(packages, architecture, work, progress));
    await buildOnce(nodeFolder, (work) =>
      step(progress, `Making a disk of Node.js for ${architecture}`, () =>
        buildNodeDisk(work, architecture),
      ),
    );
    for (const folder of [guestFolder, nodeFolder]) await markUsed(folder);
    await removeOld(join(cache, 'images'));
    await removeOld(join(cache, 'listings'));
    return {
      architecture,
      kernel: join(guestFolder, 'vmlinux'),
      initramfs: join(guestFolder, 'initramfs.cpio'),
      nodeDisk: join(nodeFolder, 'node.ext4'),
      kernelPackage: packages.kernelPackage,
    };
  });
}

function refuseWithoutTools(architecture: Architecture): void {
  const missing = missingHostPackages(architecture);
  if (missing.length === 0) return;
  throw new VmError('build', `To build the guest image, install: ${missing.join(' ')}.`);
}

function hash(parts: readonly (string | Buffer)[]): string {
  const sum = createHash('sha256');
  for (const part of parts) sum.update(String(part.length)).update('\0').update(part);
  return sum.digest('hex').slice(0, 16);
}

/** Everything of the harness that decides what is in a guest: its sources and this very code. */
function sources(): Buffer[] {
  const guest = readdirSync(GUEST_SOURCES).sort();
  const builders = [
    ...['image.js', 'guest-root.js', 'device-manager.js', 'architecture.js'],
    ...['file-tree.js', 'kernel.js', 'cpio.js'],
  ];
  return [
    ...guest.map((name) => readFileSync(join(GUEST_SOURCES, name))),
    ...builders.map((name) => readFileSync(join(import.meta.dirname, name))),
  ];
}

async function buildGuest(
  packages: PackageSet,
  architecture: Architecture,
  work: string,
  progress: Progress,
): Promise<void> {
  const { release, modulesFolder, bootImage } = findKernel(packages);
  const scratch = join(work, 'scratch');
  await mkdir(scratch);

  await step(progress, `Unpacking the kernel ${release}`, () =>
    extractKernel(architecture, bootImage, join(work, 'vmlinux')),
  );
  await step(progress, 'Making the guest image', async () => {
    const files = new FileTree();
    for (const folder of FOLDERS) files.folder(folder);
    await addPrograms(files, packages.rootFolder, architecture);
    await addUdev(files, packages.rootFolder);
    files.file('bin/busybox', await readFile(placeOf(packages.rootFolder, 'bin/busybox')));
    await addModules(files, modulesFolder, release, scratch);
    await addHarness(files, architecture, scratch);
    files.link('sbin', 'bin');
    files.link('lib', 'usr/lib');
    files.link('var/run', '/run');
    files.link('etc/mtab', '/proc/mounts');
    files.text('etc/passwd', 'root:x:0:0:root:/root:/bin/sh\n');
    files.text('etc/nsswitch.conf', 'passwd: files\ngroup: files\nhosts: files\n');
    await writeFile(join(work, 'initramfs.cpio'), writeCpio(files.entries()));
  });
  await rm(scratch, { recursive: true });
}

async function addPrograms(
  files: FileTree,
  root: string,
  architecture: Architecture,
): Promise<void> {
  const { loader, loaderFolder, triplet } = factsOf(architecture);
  const folders = libraryFolders(architecture);
  const loaderPath = findLibrary(root, folders, loader);
  if (!loaderPath) throw new VmError('build', `The packages have no ${loader}.`);
  files.file(`${loaderFolder}/${loader}`, await readFile(loaderPath));

  const programs = PROGRAMS.map((path) => ({ path, place: placeOf(root, path) }));
  for (const { path, place } of programs) files.file(path, await readFile(place));
  const seen = new Set([loader]);
  let wave = [...(await neededLibraries(programs.map(({ place }) => place))), ...LIBRARIES];
  while (wave.length > 0) {
    const paths: string[] = [];
    for (const name of new Set(wave)) {
      if (seen.has(name)) continue;
      seen.add(name);
      const path = findLibrary(root, folders, name);
      if (!path) throw new VmError('build', `No package of the guest has the library ${name}.`);
      paths.push(path);
      files.file(`usr/lib/${triplet}/${name}`, await readFile(path));
    }
    wave = await neededLibraries(paths);
  }
}

/** The file of a library in an unpacked root, whose links may point to absolute paths. */
function findLibrary(root: string, folders: readonly string[], name: string): string | undefined {
  for (const folder of folders) {
    const path = join(root, folder, name);
    if (!lstatSync(path, { throwIfNoEntry: false })) continue;
    const target = lstatSync(path).isSymbolicLink() ? readlinkSync(path) : path;
    if (target.startsWith(root)) return path;
    return target.startsWith('/') ? join(root, target) : join(root, folder, target);
  }
  return undefined;
}

/** The libraries that ELF files name as needed. */
async function neededLibraries(paths: readonly string[]): Promise<string[]> {
  if (paths.length === 0) return [];
  const text = await runTool('readelf', ['-d', ...paths]);
  return [...text.matchAll(/\(NEEDED\).*\[(.+)\]/g)].map((match) => match[1] ?? '');
}

async function addModules(
  files: FileTree,
  folder: string,
  release: string,
  scratch: string,
): Promise<void> {
  const list = await readFile(join(GUEST_SOURCES, 'modules.list'), 'utf8');
  const names = list.split('\n').filter((line) => line && !line.startsWith('#'));
  const modules = await collectModules(folder, names, scratch);
  const target = `usr/lib/modules/${release}`;
  for (const { name, data } of modules) files.file(`${target}/${name}.ko`, data);
  files.text(`${target}/modules.dep`, modulesDep(modules));
}

async function addHarness(
  files: FileTree,
  architecture: Architecture,
  scratch: string,
): Promise<void> {
  files.file('init', await readFile(join(GUEST_SOURCES, 'init')));
  for (const name of GUEST_PROGRAMS) {
    const output = join(scratch, name);
    const source = join(GUEST_SOURCES, `${name}.c`);
    const flags = ['-O2', '-Wall', '-Wextra', '-static', '-s'];
    await runTool(compilerFor(architecture), [...flags, '-o', output, source]);
    files.file(`bin/${name}`, await readFile(output));
  }
}
