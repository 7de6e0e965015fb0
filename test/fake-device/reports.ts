/** What the sanitizers have said of the processes on a fake machine, as far as it is about code of ours. */
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export type Sanitizer = 'address' | 'thread';

/** A frame of ours: of the addon, or of the keeper. */
const OURS = /stackglue(\.node|-keeper)\b/;

/**
 * How the sanitizers are to behave; their reports go to files in `folder`. Without `isFirst` another library
 * is preloaded before the address sanitizer's.
 */
export function sanitizerOptions(
  folder: string,
  { leaks = false, isFirst = true } = {},
): Record<'ASAN_OPTIONS' | 'UBSAN_OPTIONS' | 'TSAN_OPTIONS' | 'LSAN_OPTIONS', string> {
  const reports = join(folder, 'reports');
  mkdirSync(reports, { recursive: true });
  const log = `log_path=${join(reports, 'report')}`;
  return {
    // A leak is none of the process's own business: its report is looked at, not its exit.
    // With each frame's module, by which a leak is known for ours.
    ASAN_OPTIONS: `${log}:handle_abort=1:detect_leaks=${leaks ? 1 : 0}:verify_asan_link_order=${isFirst ? 1 : 0}:stack_trace_format="    #%n %p in %F %S (%m)"`,
    LSAN_OPTIONS: 'exitcode=0',
    // Beside the address sanitizer this one sets the other's path, and itself writes to stderr alone, which a
    // keeper does not have: what the file tells of is the abort.
    UBSAN_OPTIONS: `${log}:abort_on_error=1:print_stacktrace=1`,
    TSAN_OPTIONS: `${log}:halt_on_error=0:exitcode=0:second_deadlock_stack=1:history_size=4`,
  };
}

/** The reports that are about code of ours, each as a text. */
export function readReports(folder: string): string[] {
  const reports = join(folder, 'reports');
  return readdirSync(reports).flatMap((name) => partsOf(readFileSync(join(reports, name), 'utf8')));
}

function partsOf(text: string): string[] {
  if (text.includes('LeakSanitizer')) {
    if (text.includes('LeakSanitizer has encountered a fatal error')) return [text];
    // Memory that the addon has asked for: Node.js leaves its own to the end of the process.
    return text.split('\n\n').filter((part) => part.includes('leak of') && OURS.test(part));
  }
  if (text.includes('ThreadSanitizer')) return text.split(/^={18,}$/m).filter(isRaceOfOurs);
  return text.trim() === '' ? [] : [text];
}

/**
 * Whether a race is between two places of ours. What is done by Node.js itself, which is not compiled for the
 * sanitizer, seems to race with everything: its accesses are seen where they go through libc, but neither its
 * atomics nor the descriptors that it closes by a plain system call.
 */
function isRaceOfOurs(report: string): boolean {
  if (!report.includes('ThreadSanitizer')) return false;
  if (!report.includes('ThreadSanitizer: data race')) return OURS.test(report);
  const accesses = report
    .split('\n\n')
    .filter((part) => /^ +(Previous )?(atomic )?(read|write) of size/im.test(part));
  return accesses.every((access) => {
    const frames = access.split('\n').filter((line) => /^ +#\d+ /.test(line));
    return OURS.test(frames.find((frame) => !frame.includes('libtsan.so')) ?? '');
  });
}
