/** What requests are rejected with: the DOM's exceptions, with our own error as the cause where there is one. */

/** Asked of a lockspace that is lost or closed. */
export function invalidState(end: unknown): DOMException {
  return exception('The lockspace is closed, or its locks are lost', 'InvalidStateError', end);
}

/** Options that do not go together, and names that cannot be. */
export function notSupported(message: string): DOMException {
  return exception(message, 'NotSupportedError');
}

/** Somebody has taken the lock away with `steal`. */
export function stolen(name: string): DOMException {
  return exception(
    `The lock ${JSON.stringify(name)} was stolen: another request has "steal"`,
    'AbortError',
  );
}

/** The lock manager has taken it away, or does not grant it any more. */
export function lost(name: string, end: unknown): DOMException {
  return exception(
    `The lock ${JSON.stringify(name)} is lost, or not granted any more`,
    'AbortError',
    end,
  );
}

function exception(message: string, name: string, cause?: unknown): DOMException {
  // The types of Node.js and of the DOM both have the name only.
  const details = { name, ...(cause !== undefined && { cause }) } as unknown as string;
  return new DOMException(message, details);
}
