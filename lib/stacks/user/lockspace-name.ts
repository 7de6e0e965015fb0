/**
 * What a lockspace may be called. Its name becomes a directory in configfs and in sysfs, and, behind
 * `dlm_`, that of a device in `/dev`, whose link in `/dev/misc` udev makes. What they would write in
 * another way is refused at once: libdlm would wait for the link for ten seconds.
 */
import { constants } from 'node:os';

import { DlmError } from '../../errors.js';

const { errno } = constants;

/**
 * The first character that is not kept: by devtmpfs, which takes "!" for "/", or by udev, which replaces all
 * ASCII but this, and what Unicode knows to be no character. Blanks and control characters beyond ASCII
 * are for nobody to see.
 */
const NOT_KEPT = /[^\w#+\-.:=@\P{ASCII}]|[\s\p{Cc}\p{Noncharacter_Code_Point}]/u;

/** Names that the kernel's own devices have taken, behind `dlm_`. */
const TAKEN: ReadonlyMap<string, string> = new Map([
  ['plock', 'that of dlm_controld for the POSIX locks of cluster file systems'],
]);

/** Throws `ERR_DLM_GROUP_NAME` (EINVAL), with the reason, for a name that a lockspace cannot have. */
export function checkLockspaceName(name: string): void {
  const reason = whyNot(name);
  if (reason === undefined) return;
  throw new DlmError(
    'ERR_DLM_GROUP_NAME',
    `${JSON.stringify(name)} cannot be a lockspace's name: ${reason}`,
    { op: 'connect', resource: name, errno: errno.EINVAL },
  );
}

function whyNot(name: string): string | undefined {
  if (name === '') return 'it has no character';
  if (name === '.' || name === '..') return 'it would be a directory of the file system';
  const device = TAKEN.get(name);
  if (device !== undefined) return `its device would be dlm_${name}, ${device}`;
  const [character] = NOT_KEPT.exec(name) ?? [];
  if (character === undefined) return undefined;
  return (
    `the name of its device cannot keep ${JSON.stringify(character)}, but letters, digits, any of ` +
    '"#+-.:=@_", and characters beyond ASCII that are neither blanks nor control characters'
  );
}
