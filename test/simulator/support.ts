/** What the tests of the simulator share. */
import { DlmError } from '../../lib/glue.js';
import type { Profile } from '../../lib/simulator/index.js';

export const PROFILES: readonly Profile[] = ['o2dlm', 'fsdlm'];

/** The error that a promise rejects with. */
export async function failureOf(promise: Promise<unknown>): Promise<DlmError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof DlmError) return error;
    throw error;
  }
  throw new Error('it was to fail');
}
