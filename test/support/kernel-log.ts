/** What a kernel's log says when something has gone wrong. */

/** Words with which a kernel says that it is broken, or holds somebody else to be. */
const COMPLAINT =
  /BUG:|WARNING:|Oops|general protection|refcount_t|hung_task|blocked for more than/;

/**
 * What stands before a warning that means nothing. The kernel's bounds checks take the fixed part of a message
 * for the whole when fs/dlm 6.1 copies one that came during a recovery, in `dlm_add_requestqueue`; the memory
 * is as large as the message. Kernel 6.12 copies the two parts one by one.
 */
const FALSE_ALARM =
  /memcpy: detected field-spanning write .*"&e->request" at fs\/dlm\/requestqueue\.c/;

/** Lines that are shown from a complaint on. */
const SHOWN = 12;

/** The complaints in a kernel's log, with the lines that follow each. */
export function complaintsIn(log: string): string[] {
  const lines = log.split('\n');
  return lines.flatMap((line, at) =>
    COMPLAINT.test(line) && !FALSE_ALARM.test(lines[at - 1] ?? '')
      ? [lines.slice(at, at + SHOWN).join('\n')]
      : [],
  );
}
