/** Locking protocols and their versions: `ocfs2_protocol_version`, `ocfs2_locking_protocol`. */
import type { LockMode } from '../constants.js';
import { checkFunction, checkInteger, checkObject } from '../errors.js';

/** `ocfs2_protocol_version`: one byte each. */
export interface ProtocolVersion {
  readonly major: number;
  readonly minor: number;
}

/**
 * `ocfs2_locking_protocol`: the version that the caller speaks and the handlers called on its
 * behalf. `astarg` is what was given with the request; by default the lock status block itself.
 *
 * A handler is never called from inside the call that caused it. It may lock, unlock and disconnect.
 * What it throws, or rejects with if it is async, becomes an uncaught exception and disturbs no other
 * handler. Nothing waits for an async one: the next handler may run before it has come to its end.
 *
 * `Astarg`: what the handlers take, and so what requests on a connection of this protocol may be given.
 */
export interface LockingProtocol<in Astarg = unknown> {
  readonly maxVersion: ProtocolVersion;
  /** A lock or conversion has completed: `lockStatus` tells how. */
  readonly lockAst: (astarg: Astarg) => void;
  /** The lock stands in the way of a request for `level`. */
  readonly blockingAst: (astarg: Astarg, level: LockMode) => void;
  /**
   * An unlock or cancel has completed; `error` is 0 or a negative errno. With 0 the lock is gone, or
   * (a cancelled conversion) back in its old mode.
   */
  readonly unlockAst: (astarg: Astarg, error: number) => void;
}

/** Throws unless `version` has two bytes. */
export function checkVersion(
  argument: string,
  version: unknown,
): asserts version is ProtocolVersion {
  checkObject(argument, version);
  const { major, minor } = version as Partial<ProtocolVersion>;
  checkInteger(`${argument}.major`, major, 0, 255);
  checkInteger(`${argument}.minor`, minor, 0, 255);
}

/** Throws unless `protocol` has a version and three handlers. */
export function checkProtocol(
  argument: string,
  protocol: unknown,
): asserts protocol is LockingProtocol {
  checkObject(argument, protocol);
  const given = protocol as Partial<LockingProtocol>;
  checkVersion(`${argument}.maxVersion`, given.maxVersion);
  checkFunction(`${argument}.lockAst`, given.lockAst);
  checkFunction(`${argument}.blockingAst`, given.blockingAst);
  checkFunction(`${argument}.unlockAst`, given.unlockAst);
}

/** Whether the two are the same version. */
export function sameVersion(a: ProtocolVersion, b: ProtocolVersion): boolean {
  return a.major === b.major && a.minor === b.minor;
}

/** "major.minor", as sysfs prints it. */
export function formatVersion(version: ProtocolVersion): string {
  return `${version.major}.${version.minor}`;
}
