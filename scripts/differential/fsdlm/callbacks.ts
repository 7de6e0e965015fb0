/** When a kernel adds a callback, and when not. */
import { DLM_LOCK } from '../../../lib/glue.js';

/** How a kernel adds callbacks: README.md, "Two kernels". */
export type CallbackRules = '6.1' | '6.12';

/** fs/dlm/ast.c: a blocking AST is not added right behind one that says as much. */
export function callbackCovers(previous: number, level: number): boolean {
  return previous === level || (previous > level && previous > DLM_LOCK.PR);
}
