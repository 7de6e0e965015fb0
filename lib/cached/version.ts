/**
 * The version of a cached value, as it is in the lock's value: the token of the `EX` that stored it, and how many times that
 * has stored before. No other grant ever has this token, so no version comes twice; a block of zeros is none.
 */

/** Bytes: token and count, little endian. */
export const VERSION_LENGTH = 16;

const TOKEN_LENGTH = 8;

function viewOf(version: Uint8Array): DataView {
  return new DataView(version.buffer, version.byteOffset, VERSION_LENGTH);
}

/** Whether both begin with the same version. */
export function isSameVersion(a: Uint8Array, b: Uint8Array): boolean {
  for (let index = 0; index < VERSION_LENGTH; index += 1) if (a[index] !== b[index]) return false;
  return true;
}

/** The one after it, by the holder of this token. */
export function nextVersion(version: Uint8Array, token: bigint): Uint8Array {
  const before = viewOf(version);
  const count =
    before.getBigUint64(0, true) === token ? before.getBigUint64(TOKEN_LENGTH, true) : 0n;
  const next = new Uint8Array(VERSION_LENGTH);
  const view = viewOf(next);
  view.setBigUint64(0, token, true);
  view.setBigUint64(TOKEN_LENGTH, count + 1n, true);
  return next;
}
