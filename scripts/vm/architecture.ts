/** The processors that guests can have, and what is different about them. */

/** As Node.js names them. */
export type Architecture = 'x64' | 'arm64';

/** What one processor is called, and where its programs lie. */
interface Facts {
  /** Debian's name for it. */
  readonly debian: string;
  /** GNU's name for it: of its compiler, and of the folder of its libraries. */
  readonly triplet: string;
  /** What its programs name as their interpreter. */
  readonly loader: string;
  /** The folder in the guest that the loader has to be in. */
  readonly loaderFolder: string;
  /** The program that is the machine, and the Debian package that has it. */
  readonly qemu: string;
  readonly qemuPackage: string;
}

const FACTS: Readonly<Record<Architecture, Facts>> = {
  x64: {
    debian: 'amd64',
    triplet: 'x86_64-linux-gnu',
    loader: 'ld-linux-x86-64.so.2',
    loaderFolder: 'lib64',
    qemu: 'qemu-system-x86_64',
    qemuPackage: 'qemu-system-x86',
  },
  arm64: {
    debian: 'arm64',
    triplet: 'aarch64-linux-gnu',
    loader: 'ld-linux-aarch64.so.1',
    loaderFolder: 'usr/lib', // the guest's /lib is a link to it
    qemu: 'qemu-system-aarch64',
    qemuPackage: 'qemu-system-arm',
  },
};

/** What is different about a processor. */
export function factsOf(architecture: Architecture): Facts {
  return FACTS[architecture];
}

/** The host's own. */
export const HOST_ARCHITECTURE: Architecture = process.arch === 'arm64' ? 'arm64' : 'x64';

/** Whether it is another than the host's, so that the host runs nothing that is made for it. */
export function isForeign(architecture: Architecture): boolean {
  return architecture !== HOST_ARCHITECTURE;
}

/**
 * The processor that a Debian kernel is for, which its name says: `linux-image-arm64`,
 * `linux-image-6.12-amd64`. The host's if it says none.
 */
export function architectureOf(kernel: string): Architecture {
  const words = kernel.replace(/\/.*/, '').split('-');
  const found = (Object.keys(FACTS) as Architecture[]).find((each) =>
    words.includes(FACTS[each].debian),
  );
  return found ?? HOST_ARCHITECTURE;
}
