/** Taking a Debian kernel apart: the bootable program inside the image, and its modules. */

import { existsSync, readdirSync } from 'node:fs';
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';

import type { Architecture } from './architecture.js';
import { VmError } from './errors.js';
import { decompress } from './tools.js';

/** How a compressed kernel begins, and what decompresses it. */
const DECOMPRESSORS: readonly { magic: Buffer; command: readonly [string, ...string[]] }[] = [
  { magic: Buffer.from('fd377a585a00', 'hex'), command: ['xz', '-dc'] },
  { magic: Buffer.from('1f8b', 'hex'), command: ['gzip', '-dc'] },
  { magic: Buffer.from('28b52ffd', 'hex'), command: ['zstd', '-dc'] },
];

/** Fields of the x86 boot header (Documentation/arch/x86/boot.rst). */
const BOOT_HEADER = { setupSectors: 0x1f1, payloadOffset: 0x248, payloadLength: 0x24c };
const SECTOR = 512;

/** Of the header of an arm64 kernel (Documentation/arch/arm64/booting.rst). */
const ARM64_MAGIC = { at: 56, value: 'ARM\x64' };

/**
 * Writes what QEMU boots to `output`. Of a kernel for x86-64, which is compressed, it is the ELF program in it:
 * QEMU takes that form too, and saves the guest three seconds of decompressing under emulation.
 *
 * @throws {VmError} `build` when the image is not of a known form.
 */
export async function extractKernel(
  architecture: Architecture,
  bootImage: string,
  output: string,
): Promise<void> {
  const image = await readFile(bootImage);
  if (architecture === 'x64') {
    await extractVmlinux(image, bootImage, output);
    return;
  }
  const { at, value } = ARM64_MAGIC;
  if (image.toString('latin1', at, at + value.length) !== value) {
    throw new VmError('build', `The form of the kernel ${bootImage} is not known.`);
  }
  await writeFile(output, image);
}

async function extractVmlinux(image: Buffer, bootImage: string, output: string): Promise<void> {
  const setup = (image.readUInt8(BOOT_HEADER.setupSectors) + 1) * SECTOR;
  const start = setup + image.readUInt32LE(BOOT_HEADER.payloadOffset);
  const payload = image.subarray(start, start + image.readUInt32LE(BOOT_HEADER.payloadLength));
  const form = DECOMPRESSORS.find(({ magic }) => payload.subarray(0, magic.length).equals(magic));
  if (!form) throw new VmError('build', `The compression of the kernel ${bootImage} is not known.`);
  await decompress(form.command, payload, output);
  const head = (await readFile(output)).subarray(1, 4).toString('latin1');
  if (head !== 'ELF') throw new VmError('build', `The kernel ${bootImage} cannot be unpacked.`);
}

/** The parts of a kernel in the unpacked packages; Debian has moved them. */
export function findKernel({ kernelFolder, kernelPackage }: UnpackedKernel): KernelParts {
  for (const parent of ['usr/lib/modules', 'lib/modules'].map((path) => join(kernelFolder, path))) {
    const release = existsSync(parent) ? readdirSync(parent)[0] : undefined;
    if (release === undefined) continue;
    const modulesFolder = join(parent, release);
    const beside = join(modulesFolder, 'vmlinuz');
    const inBoot = join(kernelFolder, 'boot', `vmlinuz-${release}`);
    return { release, modulesFolder, bootImage: existsSync(beside) ? beside : inBoot };
  }
  throw new VmError('build', `${kernelPackage} has no modules in it.`);
}

/** What `findKernel` needs of a set of packages. */
interface UnpackedKernel {
  /** The file tree of the kernel's packages. */
  readonly kernelFolder: string;
  /** For messages. */
  readonly kernelPackage: string;
}

/** Where the parts of a kernel are. */
interface KernelParts {
  /** As `uname -r` says it. */
  readonly release: string;
  readonly modulesFolder: string;
  /** As boot loaders take it. */
  readonly bootImage: string;
}

/** A kernel module, uncompressed. */
export interface KernelModule {
  /** With underscores, as the kernel says it. */
  readonly name: string;
  readonly data: Buffer;
  /** Names of the modules that it needs directly. */
  readonly needs: readonly string[];
}

const MODULE_FILE = /^(.+)\.ko(?:\.xz)?$/;

function kernelName(name: string): string {
  return name.replaceAll('-', '_');
}

/**
 * The modules of these names and all that they depend on, dependencies first. One whose name ends in
 * `?` may be missing.
 *
 * @param folder the kernel's module folder, `lib/modules/<release>`.
 * @param scratch a folder for temporary files.
 * @throws {VmError} `build` when a module is neither there nor built into the kernel.
 */
export async function collectModules(
  folder: string,
  names: readonly string[],
  scratch: string,
): Promise<KernelModule[]> {
  const files = new Map<string, string>();
  for (const path of await readdir(join(folder, 'kernel'), { recursive: true })) {
    const match = MODULE_FILE.exec(basename(path));
    if (match?.[1]) files.set(kernelName(match[1]), join(folder, 'kernel', path));
  }
  const builtIn = new Set(
    (await readFile(join(folder, 'modules.builtin'), 'utf8'))
      .split('\n')
      .map((line) => kernelName(basename(line, '.ko'))),
  );

  const found = new Map<string, KernelModule>();
  const visit = async (name: string): Promise<void> => {
    if (found.has(name) || builtIn.has(name)) return;
    const file = files.get(name);
    if (!file) throw new VmError('build', `The kernel in ${folder} has no module ${name}.`);
    const data = await readModule(file, scratch);
    const needs = neededModules(data);
    for (const need of needs) await visit(need);
    found.set(name, { name, data, needs: needs.filter((need) => !builtIn.has(need)) });
  };
  for (const each of names) {
    const name = kernelName(each.replace('?', ''));
    if (name === kernelName(each) || files.has(name)) await visit(name);
  }
  return [...found.values()];
}

async function readModule(file: string, scratch: string): Promise<Buffer> {
  if (!file.endsWith('.xz')) return readFile(file);
  const plain = join(scratch, basename(file, '.xz'));
  await decompress(['xz', '-dc'], await readFile(file), plain);
  return readFile(plain);
}

/** What the module's own information says that it depends on. */
function neededModules(data: Buffer): string[] {
  const key = '\0depends=';
  const at = data.indexOf(key);
  if (at < 0) return [];
  const start = at + key.length;
  const text = data.toString('latin1', start, data.indexOf(0, start));
  return text.split(',').filter(Boolean).map(kernelName);
}

/** The text of a `modules.dep` for modprobe: each module's file and all that it needs. */
export function modulesDep(modules: readonly KernelModule[]): string {
  const byName = new Map(modules.map((module) => [module.name, module]));
  const closure = (name: string, into: Set<string>): Set<string> => {
    for (const need of byName.get(name)?.needs ?? []) {
      into.add(need);
      closure(need, into);
    }
    return into;
  };
  const line = ({ name }: KernelModule): string => {
    // modprobe loads from the last to the first.
    const needs = modules
      .map((module) => module.name)
      .filter((n) => closure(name, new Set()).has(n));
    return `${[`${name}.ko:`, ...needs.reverse().map((need) => `${need}.ko`)].join(' ')}\n`;
  };
  return modules.map(line).join('');
}
