/** Whether a binary runs on every machine that it is for, as far as readelf can tell. */
import { runTool } from '../vm/tools.js';
import { GLIBC_FLOOR, type Target } from './targets.js';

/** Whether version `a` is newer than `b`. */
function isNewer(a: string, b: string): boolean {
  const [[major = 0, minor = 0] = [], [otherMajor = 0, otherMinor = 0] = []] = [a, b].map(
    (version) => version.split('.').map(Number),
  );
  return major > otherMajor || (major === otherMajor && minor > otherMinor);
}

/**
 * What is wrong with a binary, a sentence each. `shown`: the only functions that it may show to others; of a
 * program undefined.
 */
export async function faultsOf(
  path: string,
  target: Target,
  shown?: readonly string[],
): Promise<string[]> {
  const text = await runTool('readelf', ['-W', '-h', '-S', '-d', '-V', '--dyn-syms', path]);
  const faults: string[] = [];
  const machine = /^\s*Machine:\s+(.*)$/m.exec(text)?.[1]?.trim();
  if (machine !== target.machine) faults.push(`it is for ${machine ?? 'no'} processor`);
  for (const [, library = ''] of text.matchAll(/\(NEEDED\)\s+Shared library: \[(.*)\]/g)) {
    if (!target.libraries.test(library)) faults.push(`it needs ${library}`);
  }
  for (const [, library = '', version = ''] of text.matchAll(
    /Name: (GLIBC|GLIBCXX|CXXABI|GCC)_([\d.]+|\w+)/g,
  )) {
    const isOld = library === 'GLIBC' && /^[\d.]+$/.test(version) && !isNewer(version, GLIBC_FLOOR);
    if (!isOld) faults.push(`it needs ${library}_${version}, and ${GLIBC_FLOOR} is the floor`);
  }
  if (text.includes(' .symtab ')) faults.push('it is not stripped');
  if (shown !== undefined) {
    const symbols = text.matchAll(/ (?:GLOBAL|WEAK|UNIQUE) +DEFAULT +\d+ (\S+)$/gm);
    for (const [, name = ''] of symbols) {
      if (!shown.includes(name)) faults.push(`it shows ${name}`);
    }
  }
  return faults;
}
