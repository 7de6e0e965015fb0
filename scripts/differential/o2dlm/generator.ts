/**
 * Random sequences. What comes next is drawn from what can be done as things stand (one closes what is
 * open, one interrupts what waits), so that every command has a meaning; both sides are then given the
 * same commands.
 */
import type { Random } from '../../random.js';
import type { Command, HandleState, NodeNumber, Observation } from './commands.js';

const BLOCK_BYTES = 64;
/** As many opens of one file on one node at a time. */
const MAX_HANDLES = 4;

/** What the sequence is to be like. */
export interface Shape {
  readonly nodes: readonly NodeNumber[];
  /** How many files, 1 to 8. */
  readonly files: number;
  /** How many commands, those that end it not counted. */
  readonly commands: number;
  /** How likely a step has two commands for one file at once, on different nodes. */
  readonly racing: number;
}

/** Where the commands of a sequence come from, step by step. */
export interface Source {
  /** The commands of the next step, which may be none, or undefined when the sequence has ended. */
  next(seen: Observation): Command[] | undefined;
  /** From now on, that node does nothing any more. */
  lose(node: NodeNumber): void;
}

/** Closes what is open, one handle of a file at a time, until nothing waits for it any more. */
function ending(seen: Observation): Command[] | undefined {
  const open = new Map<number, [number, HandleState]>();
  for (const entry of seen.handles) {
    if (entry[1].result === 0 && !open.has(entry[1].file)) open.set(entry[1].file, entry);
  }
  if (open.size === 0) return undefined;
  return [...open.values()].map(([handle, { node, file }]) => {
    return { kind: 'close', node, file, handle };
  });
}

/** A random sequence. */
export class Generator implements Source {
  readonly #random: Random;
  readonly #shape: Shape;
  #nodes: readonly NodeNumber[];
  #handles = 0;
  #given = 0;

  constructor(random: Random, shape: Shape) {
    this.#random = random;
    this.#shape = shape;
    this.#nodes = shape.nodes;
  }

  lose(node: NodeNumber): void {
    this.#nodes = this.#nodes.filter((each) => each !== node);
  }

  next(seen: Observation): Command[] | undefined {
    if (this.#given >= this.#shape.commands) return ending(seen);
    const random = this.#random;
    const files = random.shuffle(Array.from({ length: this.#shape.files }, (_, file) => file));
    const commands: Command[] = [];
    for (const file of files.slice(0, 1 + random.below(Math.min(3, files.length)))) {
      const first = this.#command(file, random.pick(this.#nodes), seen);
      commands.push(first);
      if (random.chance(this.#shape.racing) && first.kind !== 'unlink') {
        const others = this.#nodes.filter((node) => node !== first.node);
        if (others.length > 0) {
          const second = this.#command(file, random.pick(others), seen);
          if (second.kind !== 'unlink') commands.push(second);
        }
      }
    }
    this.#given += commands.length;
    return commands;
  }

  #command(file: number, node: NodeNumber, seen: Observation): Command {
    const random = this.#random;
    const mine = [...seen.handles].filter(
      ([, state]) => state.node === node && state.file === file && !(state.result ?? 0),
    );
    const open = mine.filter(([, state]) => state.result === 0);
    const waiting = mine.filter(([, state]) => state.result === undefined);
    const writers = open.filter(([, state]) => state.writes);
    const draw = random.next();
    if (draw < 0.3 && open.length > 0) {
      return { kind: 'close', node, file, handle: random.pick(open)[0] };
    }
    if (draw < 0.45 && writers.length > 0) {
      const length = 1 + random.below(random.chance(0.2) ? BLOCK_BYTES : 4);
      const bytes = Array.from({ length }, () => 1 + random.below(255));
      const handle = random.pick(writers)[0];
      return { kind: 'write', node, file, handle, bytes: Buffer.from(bytes).toString('hex') };
    }
    if (draw < 0.52 && waiting.length > 0) {
      return { kind: 'interrupt', node, file, handle: random.pick(waiting)[0] };
    }
    // An unlink that waits would hold the folder's lock, and with it every new file of the node.
    if (draw < 0.6 && waiting.length === 0) return { kind: 'unlink', node, file };
    if (mine.length >= MAX_HANDLES) {
      return open.length > 0
        ? { kind: 'close', node, file, handle: random.pick(open)[0] }
        : { kind: 'interrupt', node, file, handle: random.pick(waiting)[0] };
    }
    const writes = random.chance(0.5);
    const tries = random.chance(0.2);
    return { kind: 'open', node, file, handle: ++this.#handles, writes, tries };
  }
}

/**
 * The same commands again, or some of them: one that has no meaning as things stand is left out. Then what
 * is open is closed.
 */
export class Replay implements Source {
  readonly #steps: readonly (readonly Command[])[];
  readonly #lost = new Set<NodeNumber>();
  #at = 0;

  constructor(steps: readonly (readonly Command[])[]) {
    this.#steps = steps;
  }

  lose(node: NodeNumber): void {
    this.#lost.add(node);
  }

  next(seen: Observation): Command[] | undefined {
    const commands = this.#steps[this.#at++];
    if (commands === undefined) return ending(seen);
    return commands.filter((command) => this.#makesSense(command, seen));
  }

  #makesSense(command: Command, seen: Observation): boolean {
    if (command.kind === 'kill' || this.#lost.has(command.node)) return false;
    if (command.kind === 'open') return true;
    const { node, file } = command;
    if (command.kind === 'unlink') {
      const states = [...seen.handles.values()];
      return !states.some(
        (each) => each.node === node && each.file === file && each.result === undefined,
      );
    }
    const state = seen.handles.get(command.handle);
    if (state === undefined) return false;
    return command.kind === 'interrupt' ? state.result === undefined : state.result === 0;
  }
}
