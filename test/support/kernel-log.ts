/** What a kernel's log says when something has gone wrong. */

/** Words with which a kernel says that it is broken, or holds somebody else to be. */
const COMPLAINT =
  /BUG:|WARNING:|Oops|general protection|refcount_t|hung_task|blocked for more than/;

/** Lines that are shown from a complaint on. */
const SHOWN = 12;

/** The complaints in a kernel's log, with the lines that follow each. */
export function complaintsIn(log: string): string[] {
  const lines = log.split('\n');
  return lines.flatMap((line, at) =>
    COMPLAINT.test(line) ? [lines.slice(at, at + SHOWN).join('\n')] : [],
  );
}
