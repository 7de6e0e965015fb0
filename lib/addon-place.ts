/** Where the addon for this program lies: a build of one's own, else the one that the package brings along. */
import { closeSync, openSync, readFileSync, readlinkSync, readSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** `Elf64_Ehdr` and `Elf64_Phdr` of elf(5), as far as the interpreter takes them. */
const ELF = {
  magic: 0x7f454c46,
  headerSize: 64,
  is64: { at: 4, value: 2 },
  isLittleEndian: { at: 5, value: 1 },
  programHeaders: 32,
  programHeaderSize: 54,
  programHeaderCount: 56,
  interpreter: 3,
  offset: 8,
  size: 32,
} as const;

/**
 * The interpreter that an ELF program names, which is its libc's loader; undefined for what names none.
 * `read` gives bytes of it.
 */
export function interpreterOf(
  read: (offset: number, length: number) => Buffer,
): string | undefined {
  const header = read(0, ELF.headerSize);
  if (
    header.length < ELF.headerSize ||
    header.readUInt32BE(0) !== ELF.magic ||
    header[ELF.is64.at] !== ELF.is64.value ||
    header[ELF.isLittleEndian.at] !== ELF.isLittleEndian.value
  ) {
    return undefined;
  }
  const size = header.readUInt16LE(ELF.programHeaderSize);
  const count = header.readUInt16LE(ELF.programHeaderCount);
  const table = read(Number(header.readBigUInt64LE(ELF.programHeaders)), size * count);
  for (let at = 0; at + size <= table.length; at += size) {
    if (table.readUInt32LE(at) !== ELF.interpreter) continue;
    const offset = Number(table.readBigUInt64LE(at + ELF.offset));
    const text = read(offset, Number(table.readBigUInt64LE(at + ELF.size))).toString('latin1');
    return text.replace(/\0.*$/s, '');
  }
  return undefined;
}

const OWN_PROGRAM = '/proc/self/exe';

/** The loader of this program, or undefined where that cannot be read. */
function ownInterpreter(): string | undefined {
  try {
    const file = openSync(OWN_PROGRAM, 'r');
    try {
      const interpreter = interpreterOf((offset, length) => {
        const bytes = Buffer.alloc(length);
        return bytes.subarray(0, readSync(file, bytes, 0, length, offset));
      });
      // Without one it may be the loader itself, which was told to run a program.
      return interpreter ?? readlinkSync(OWN_PROGRAM);
    } finally {
      closeSync(file);
    }
  } catch {
    return undefined;
  }
}

/** The folder in prebuilds/ for a machine, by the loader of its programs. */
export function targetName(interpreter: string | undefined, arch: string): string {
  // glibc where nobody can tell: it is what most have.
  const isMusl = interpreter !== undefined && basename(interpreter).startsWith('ld-musl');
  return `${isMusl ? 'linuxmusl' : 'linux'}-${arch}`;
}

/** The same of this process. By the program, not by a try: what is for the other libc can crash it. */
export function ownTarget(): string {
  return targetName(ownInterpreter(), process.arch);
}

/** What the package whose folder this is calls itself; undefined where there is none. */
function nameOfPackage(root: string): unknown {
  try {
    const manifest: unknown = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
    return (manifest as { name?: unknown } | null)?.name;
  } catch {
    return undefined;
  }
}

/**
 * The package's folder; undefined where this module is in no file of it any more, because a bundler has put it
 * into another. In the tarball it is a part of a file of another name, in the same folder.
 */
export function packageRoot(): string | undefined {
  // There is none in a bundle of CommonJS.
  const own = import.meta.url as string | undefined;
  if (own?.startsWith('file:') !== true) return undefined;
  const root = fileURLToPath(new URL('../..', own));
  const isHere = dirname(fileURLToPath(own)) === join(root, 'dist/lib');
  return isHere && nameOfPackage(root) === 'stackglue' ? root : undefined;
}

/** For `bindings`: where to look, in this order. */
export function places(): string[][] {
  return [
    ['module_root', 'build', 'Release', 'bindings'],
    ['module_root', 'prebuilds', ownTarget(), 'bindings'],
  ];
}
