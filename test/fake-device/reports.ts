/** What the sanitizers have said of the processes on a fake machine, as far as it is about code of ours. */
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export type Sanitizer = 'address' | 'thread';

/** A frame of ours: of the addon, or of the keeper. */
const OURS = /stackglue(\.node|-keeper)\b/;

/** How the sanitizers are to behave; their reports go to files in `folder`. */
export function sanitizerOptions(
  folder: string,
  { leaks = false } = {},
): Record<'ASAN_OPTIONS' | 'UBSAN_OPTIONS' | 'TSAN_OPTIONS' | 'LSAN_OPTIONS', string> {
  const reports = join(folder, 'reports');
  mkdirSync(reports, { recursive: true });
  const log = `log_path=${join(reports, 'report')}`;
  return {
    // A leak is none of the process's own business: its report is looked at, not its exit.
    ASAN_OPTIONS: `${log}:handle_abort=1:detect_leaks=${leaks ? 1 : 0}`,
    LSAN_OPTIONS: 'exitcode=0',
    // Beside the address sanitizer this one writes to stderr alone, and a keeper has none: the abort is told.
    UBSAN_OPTIONS: 'abort_on_error=1:print_stacktrace=1',
    TSAN_OPTIONS: `${log}:halt_on_error=0:exitcode=0:second_deadlock_stack=1:history_size=4`,
  };
}

/**
 * The reports, each as a text. Of leaks only those of memory that the addon has asked for: Node.js leaves
 * its own to the end of the process. Of races those with a frame of ours: what the rest of Node.js is compiled
 * from, the thread sanitizer cannot see.
 */
export function readReports(folder: string): string[] {
  const reports = join(folder, 'reports');
  return readdirSync(reports).flatMap((name) => partsOf(readFileSync(join(reports, name), 'utf8')));
}

function partsOf(text: string): string[] {
  if (text.includes('LeakSanitizer')) {
    if (text.includes('LeakSanitizer has encountered a fatal error')) return [text];
    return text.split('\n\n').filter((part) => part.includes('leak of') && OURS.test(part));
  }
  if (text.includes('ThreadSanitizer')) {
    const parts = text.split(/^={18,}$/m).filter((part) => part.includes('ThreadSanitizer'));
    return parts.filter((part) => OURS.test(part));
  }
  return text.trim() === '' ? [] : [text];
}
