/** Handlers may be async, though nobody waits for them. */

/** Has `report` called with what a handler's result rejects with, if it is a promise. */
export function reportRejection(returned: unknown, report: (error: unknown) => void): void {
  if (typeof returned !== 'object' || returned === null) return;
  if (typeof (returned as { then?: unknown }).then !== 'function') return;
  Promise.resolve(returned).catch(report);
}
