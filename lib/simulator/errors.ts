/** What fails in a simulation, with the history that shows it. */
import { DlmError, type DlmErrorCode } from '../errors.js';
import type { History } from './history.js';

/** Lines of the history that a message shows. */
const TAIL_LINES = 20;

/** A simulation that did not end as it should. `cause` is what the program threw, if it did. */
export class SimulationError extends DlmError {
  /** The seed that shows it. */
  readonly seed: number;
  /** All that happened until then; `new Simulation({ replay: history })` makes it happen again. */
  readonly history: History;

  constructor(code: DlmErrorCode, message: string, history: History, cause?: unknown) {
    super(
      code,
      `${message}\nThe last of what happened with seed ${history.seed}:\n${history.tail(TAIL_LINES)}`,
      { op: 'simulate' },
    );
    this.seed = history.seed;
    this.history = history;
    if (cause !== undefined) this.cause = cause;
  }
}

/** The error for a call that comes at a wrong moment. */
export function simulationRefusal(code: DlmErrorCode, message: string): DlmError {
  return new DlmError(code, message, { op: 'simulate' });
}
