/** For which machines there are prebuilt binaries, and what those may ask of them. */

/** The oldest glibc that they run on: that of Debian 10 and RHEL 8. */
export const GLIBC_FLOOR = '2.28';

export interface Target {
  /** The folder in prebuilds/, as lib/addon-place.ts looks for it. */
  readonly name: string;
  /** What the compiler calls it. */
  readonly triple: string;
  /** As `readelf -h` names the processor. */
  readonly machine: string;
  /** The only libraries that may be needed: what every machine with that libc has. */
  readonly libraries: RegExp;
}

const GLIBC = /^(lib(c|m|dl|rt|pthread)\.so\.\d|ld-linux-\S+\.so\.\d)$/;
/** musl is one library, whatever a program calls it. */
const MUSL = /^libc\.so$/;

export const TARGETS: readonly Target[] = [
  {
    name: 'linux-x64',
    triple: `x86_64-linux-gnu.${GLIBC_FLOOR}`,
    machine: 'Advanced Micro Devices X86-64',
    libraries: GLIBC,
  },
  {
    name: 'linux-arm64',
    triple: `aarch64-linux-gnu.${GLIBC_FLOOR}`,
    machine: 'AArch64',
    libraries: GLIBC,
  },
  {
    name: 'linuxmusl-x64',
    triple: 'x86_64-linux-musl',
    machine: 'Advanced Micro Devices X86-64',
    libraries: MUSL,
  },
  {
    name: 'linuxmusl-arm64',
    triple: 'aarch64-linux-musl',
    machine: 'AArch64',
    libraries: MUSL,
  },
];
