/** Lists of /proc, whose entries may go while they are read. Linux only, as we are. */
import { readdirSync } from 'node:fs';

/**
 * What `look` finds at each path in a folder whose name is a number: processes, threads, descriptors. One
 * that is gone when it is looked at (`look` throws) is passed over.
 */
export function foundIn<T>(folder: string, look: (path: string) => readonly T[]): T[] {
  return readdirSync(folder)
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        return look(`${folder}/${name}`);
      } catch {
        return [];
      }
    });
}
