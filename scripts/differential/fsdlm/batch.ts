/** Runs sequences side by side in one world, step by step, and keeps what each lock was told. */
import type { WireCommand, WireEvent } from './agent.js';
import { LOCKS_MAX, type Command, type Death, type Program, type Step } from './program.js';
import type { Placed, Told, World } from './world.js';

/** What the locks of one sequence were told, step by step. */
export interface History {
  readonly steps: Map<number, WireEvent[]>[];
  /** What a death led to, before the step of that index. */
  afterDeath?: Map<number, WireEvent[]>;
}

/** What belongs to one of a list, which must be there. */
export function at<T>(list: readonly T[], index: number): T {
  const item = list[index];
  if (item === undefined) throw new RangeError(`there is no item ${index}`);
  return item;
}

/** What a batch came to. */
export interface BatchResult {
  readonly histories: readonly History[];
  /** Each node's notices of the death. */
  readonly notices: readonly string[];
}

function toWire(names: string, run: number, command: Command): WireCommand {
  const lock = run * LOCKS_MAX + command.lock;
  if (command.do === 'lock') {
    return ['l', lock, command.mode, command.flags, `${names}${run}/${command.resource}`];
  }
  const { flags, lvb } = command;
  const head =
    command.do === 'convert' ? (['c', lock, command.mode] as const) : (['u', lock, 0] as const);
  return lvb === undefined ? [...head, flags] : [...head, flags, lvb];
}

/** Where the steps of a batch come from. */
export interface StepSource {
  readonly runs: number;
  readonly death: Death | undefined;
  /** The next step of a sequence, or undefined when it is over. */
  next(run: number, step: number): Step | undefined;
  /** Whether the processes hear of what a step's first command led to before they give the second. */
  pauses?(run: number, step: number): boolean;
  /** Told of each event after the step that led to it. */
  see?(run: number, lock: number, event: WireEvent): void;
  /** Told of the death. */
  die?(node: number): void;
}

/** Runs a batch to its end. The order of a step's sequences is that of `shuffle`. */
export async function runBatch(
  world: World,
  source: StepSource,
  shuffle: <T>(list: T[]) => T[] = (list) => list,
): Promise<BatchResult> {
  const histories: History[] = Array.from({ length: source.runs }, () => ({ steps: [] }));
  const notices: string[] = [];
  const dead = new Set<number>();

  const keep = (told: readonly Told[], mapOf: (run: number) => Map<number, WireEvent[]>): void => {
    for (const { node, event } of told) {
      const [number, kind, value] = event;
      if (kind === 'n') {
        notices.push(`node ${node} is told that node ${value} has died`);
        continue;
      }
      const run = Math.floor(number / LOCKS_MAX);
      const lock = number % LOCKS_MAX;
      const map = mapOf(run);
      const list = map.get(lock);
      if (list === undefined) map.set(lock, [event]);
      else list.push(event);
      source.see?.(run, lock, event);
    }
  };

  for (let step = 0; ; step++) {
    if (source.death?.step === step) {
      const { node } = source.death;
      dead.add(node);
      source.die?.(node);
      keep(await world.kill(node), (run) => (at(histories, run).afterDeath ??= new Map()));
    }
    const groups: Placed[][] = [];
    const later: Placed[] = [];
    let isOver = true;
    for (let run = 0; run < source.runs; run++) {
      const commands = source.next(run, step);
      if (commands === undefined) continue;
      isOver = false;
      const placed = commands
        .filter(({ node }) => !dead.has(node))
        .map((command) => ({ node: command.node, command: toWire(world.names, run, command) }));
      if (source.pauses?.(run, step) === true) later.push(...placed.splice(1));
      groups.push(placed);
    }
    for (const history of histories) history.steps.push(new Map());
    if (isOver && (source.death === undefined || dead.size > 0)) break;
    const ofRun = (run: number): Map<number, WireEvent[]> => at(at(histories, run).steps, step);
    keep(await world.step(shuffle(groups).flat()), ofRun);
    if (later.length > 0) keep(await world.step(later), ofRun);
  }
  return { histories, notices: notices.sort() };
}

/** Programs that are there already. */
export function programSource(programs: readonly Program[], death: Death | undefined): StepSource {
  return {
    runs: programs.length,
    death,
    next: (run, step) => programs[run]?.steps[step],
    pauses: (run, step) => programs[run]?.paused?.has(step) === true,
  };
}
