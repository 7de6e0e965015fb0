/** What a sequence asks of dlmfs, and what of its effects can be seen. */

/** A node's number: 1 to 3. */
export type NodeNumber = number;

/** One command. A handle is an open of a file: pending, open or gone; its number names it for ever. */
export type Command =
  | {
      readonly kind: 'open';
      readonly node: NodeNumber;
      readonly file: number;
      readonly handle: number;
      /** Read-only is PR, for writing is EX. */
      readonly writes: boolean;
      /** O_NONBLOCK: do not wait for other nodes. */
      readonly tries: boolean;
    }
  | {
      readonly kind: 'close' | 'interrupt';
      readonly node: NodeNumber;
      readonly file: number;
      readonly handle: number;
    }
  | {
      readonly kind: 'write';
      readonly node: NodeNumber;
      readonly file: number;
      readonly handle: number;
      /** 1 to 64 bytes in hexadecimal: the first ones of the value block. */
      readonly bytes: string;
    }
  | { readonly kind: 'unlink'; readonly node: NodeNumber; readonly file: number }
  | { readonly kind: 'kill'; readonly node: NodeNumber };

/** What became of an open. */
export interface HandleState {
  readonly node: NodeNumber;
  readonly file: number;
  readonly writes: boolean;
  /** `undefined` while it waits; then 0 or the open's errno, with which the handle is gone. */
  readonly result: number | undefined;
  /** POLLIN: somebody waits for what this node's lock stands in the way of. */
  readonly blocked: boolean;
  /** The value block as this node has it, in hexadecimal without the zeros at its end. */
  readonly block: string;
}

/** All that can be seen when everything that the last step caused has happened. */
export interface Observation {
  readonly handles: ReadonlyMap<number, HandleState>;
  /** The errno of each unlink of this step, or 0, by `node:file`. */
  readonly unlinks: ReadonlyMap<string, number>;
}

/** Commands that are given at once, and what was seen after them. */
export interface Step {
  readonly commands: readonly Command[];
  readonly seen: Observation;
}

/** The lines of one file's part of an observation: equal lines are equal observations. */
export function linesOf(observation: Observation, file: number): string {
  const lines: string[] = [];
  for (const [handle, state] of observation.handles) {
    if (state.file === file) lines.push(`h${handle}@${state.node} ${describeState(state)}`);
  }
  for (const [key, errno] of observation.unlinks) {
    if (key.endsWith(`:${file}`)) lines.push(`unlink@${key.split(':')[0]} ${errno}`);
  }
  return lines.sort().join('\n');
}

function describeState({ result, blocked, block }: HandleState): string {
  if (result === undefined) return 'waits';
  if (result !== 0) return `failed with ${result}`;
  return `${blocked ? 'blocks others, ' : ''}block "${block}"`;
}

/** A command as the checker reads it (checker/main.cc). */
export function commandOf(command: Command): string {
  const { kind, node } = command;
  switch (command.kind) {
    case 'open':
      return `open ${node} ${command.handle} ${command.writes ? 'w' : 'r'} ${command.tries ? 't' : '-'}`;
    case 'write':
      return `write ${node} ${command.handle} ${command.bytes}`;
    case 'close':
    case 'interrupt':
      return `${kind} ${node} ${command.handle}`;
    case 'unlink':
    case 'kill':
      return `${kind} ${node}`;
  }
}

/** A command in words. */
export function describeCommand(command: Command): string {
  const { kind, node } = command;
  if (kind === 'kill') return `node ${node} is killed`;
  const where = `node ${node} file ${command.file}`;
  if (kind === 'unlink') return `${where}: unlink`;
  const what = `${where} h${command.handle}`;
  switch (command.kind) {
    case 'open':
      return `${what}: open ${command.writes ? 'O_RDWR' : 'O_RDONLY'}${command.tries ? '|O_NONBLOCK' : ''}`;
    case 'write':
      return `${what}: write ${command.bytes}`;
    case 'close':
    case 'interrupt':
      return `${what}: ${command.kind}`;
  }
}
