/** Errors of the virtual machine harness. */

/**
 * What went wrong, for programs:
 *
 * - `unsupported`: virtual machines cannot run on this host; the message says what to install.
 * - `build`: the kernel or the guest image could not be made.
 * - `unavailable`: packages that this host does not use itself cannot be had from here.
 * - `boot`: a virtual machine did not come up, or its cluster did not form.
 * - `gone`: the node was killed or died while something was asked of it.
 * - `command`: a command in a guest ended with a non-zero code.
 * - `timeout`: what was waited for did not happen in time.
 * - `usage`: the caller asked for something impossible, such as a node that does not exist.
 */
export type VmErrorCode =
  'unsupported' | 'build' | 'unavailable' | 'boot' | 'gone' | 'command' | 'timeout' | 'usage';

/** Every failure of the harness. The message is a whole sentence meant to be read by a person. */
export class VmError extends Error {
  override readonly name = 'VmError';
  readonly code: VmErrorCode;

  constructor(code: VmErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
