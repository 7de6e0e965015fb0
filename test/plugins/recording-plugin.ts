/**
 * A stack plugin of one's own, in plain TypeScript: a layer over another stack that records all that
 * goes through it, calls and what comes back, in order. It is useful in tests, and an example.
 *
 * A plugin is an object with a name, a scope and operations (`StackPlugin`), registered with
 * `glue.register(plugin)`. The name decides who gets it: the label `o2cb` is served by the plugin
 * "o2cb", every other label by the plugin "user". So a stack of one's own takes one of these names in
 * a glue in which it is alone; this layer takes the name of the stack below it.
 *
 * What an operation must do is told at `StackOperations`. What a stack has to tell, it tells by five
 * methods of the connection that it was given with `connect`: `lockAst`, `blockingAst`, `unlockAst`,
 * `nodeDown`, `notice`. It must not call them from inside an operation: whoever asks for a lock may count on
 * having the call's result before its completion.
 *
 * A layer stands in the middle. The stack below must tell the layer rather than the connection, so it
 * is given another connection, `connection.layered(...)`, and that one in every operation. A status
 * block goes through as it is: the stack below keeps its state in it.
 */
import type {
  DlmLksb,
  StackConnection,
  StackOperations,
  StackPlugin,
  StackUpcalls,
} from '../../lib/glue.js';

/** The names of what a stack tells. */
type Upcall = keyof StackUpcalls;

/** One line of the record. */
export interface Entry {
  /** An operation begins, it has ended or failed, or the stack tells something. */
  readonly kind: 'call' | 'return' | 'throw' | 'upcall';
  readonly name: keyof StackOperations | Upcall;
  /** The group of the connection; of a status block's operations there is none. */
  readonly group?: string | undefined;
  /** Which lock: status blocks are numbered from 1 in the order in which they are first seen. */
  readonly lock?: number | undefined;
  /** The other arguments, or the result. */
  readonly values: readonly unknown[];
}

/** What a stack may leave out. */
type OptionalOperation = {
  [Name in keyof StackOperations]-?: undefined extends StackOperations[Name] ? Name : never;
}[keyof StackOperations];

/** What the layer keeps of a connection. */
interface Layer {
  /** The connection that the stack below has. */
  readonly below: StackConnection;
}

/** What the layer gives as `astarg` of an unlock, to know the lock when its AST comes. */
interface Unlocking {
  readonly lksb: DlmLksb;
  readonly astarg: unknown;
}

/** A plugin that does what `inner` does, and hands a record of it to `log`, line by line. */
export function createRecordingPlugin(
  inner: StackPlugin,
  log: (entry: Entry) => void,
): StackPlugin {
  const { operations } = inner;
  const numbers = new WeakMap<DlmLksb, number>();
  let lastNumber = 0;

  function numberOf(lksb: DlmLksb): number {
    const known = numbers.get(lksb);
    if (known !== undefined) return known;
    lastNumber += 1;
    numbers.set(lksb, lastNumber);
    return lastNumber;
  }

  /** Where an entry belongs. */
  interface Place {
    group?: string;
    lock?: number;
  }

  /** Records an operation that answers at once. */
  function record<Result>(
    name: keyof StackOperations,
    place: Place,
    values: unknown[],
    operation: () => Result,
  ): Result {
    log({ kind: 'call', name, ...place, values });
    try {
      const result = operation();
      log({ kind: 'return', name, ...place, values: [result] });
      return result;
    } catch (error) {
      log({ kind: 'throw', name, ...place, values: [error] });
      throw error;
    }
  }

  /** Records an operation that takes its time. */
  async function recordAsync(
    name: keyof StackOperations,
    place: Place,
    operation: () => Promise<void>,
  ): Promise<void> {
    log({ kind: 'call', name, ...place, values: [] });
    try {
      await operation();
      log({ kind: 'return', name, ...place, values: [] });
    } catch (error) {
      log({ kind: 'throw', name, ...place, values: [error] });
      throw error;
    }
  }

  /** `cc_private` of this layer. The stack below has another one, on its own connection. */
  function belowOf(connection: StackConnection): StackConnection {
    return (connection.private as Layer).below;
  }

  /** What the stack below tells: it is recorded, and handed on. */
  function layer(connection: StackConnection): Layer {
    const group = connection.name;
    const upcall = (name: Upcall, place: Place, ...values: unknown[]) =>
      log({ kind: 'upcall', name, group, ...place, values });
    return {
      below: connection.layered({
        lockAst: (lksb) => {
          const lock = numberOf(lksb);
          upcall('lockAst', { lock }, operations.lockStatus(lksb));
          connection.lockAst(lksb);
        },
        blockingAst: (lksb, level) => {
          upcall('blockingAst', { lock: numberOf(lksb) }, level);
          connection.blockingAst(lksb, level);
        },
        unlockAst: (unlocking, error) => {
          const { lksb, astarg } = unlocking as Unlocking;
          upcall('unlockAst', { lock: numberOf(lksb) }, error);
          connection.unlockAst(astarg, error);
        },
        nodeDown: (nodeNumber, ring) => {
          upcall('nodeDown', {}, nodeNumber);
          connection.nodeDown(nodeNumber, ring);
        },
        notice: (notice) => {
          upcall('notice', {}, notice);
          connection.notice(notice);
        },
      } satisfies StackUpcalls),
    };
  }

  // An operation that the stack below does not have, this one does not have either. Each that there can be
  // is named here: the compiler sees to it, so that a layer forgets none that comes later.
  const plock = operations.plock?.bind(operations);
  const lockFlags = operations.lockFlags?.bind(operations);
  const members = operations.members?.bind(operations);
  const membership = operations.membership?.bind(operations);
  const dumpLksb = operations.dumpLksb?.bind(operations);
  const setRef = operations.setRef?.bind(operations);
  const optional: { [Name in OptionalOperation]: StackOperations[Name] | undefined } = {
    plock:
      plock &&
      ((connection, inode, request) =>
        record('plock', { group: connection.name }, [inode, request], () =>
          plock(belowOf(connection), inode, request),
        )),
    lockFlags:
      lockFlags &&
      ((lksb) => record('lockFlags', { lock: numberOf(lksb) }, [], () => lockFlags(lksb))),
    members:
      members &&
      ((connection) =>
        record('members', { group: connection.name }, [], () => members(belowOf(connection)))),
    membership:
      membership &&
      ((connection) =>
        record('membership', { group: connection.name }, [], () =>
          membership(belowOf(connection)),
        )),
    dumpLksb:
      dumpLksb &&
      ((lksb) => record('dumpLksb', { lock: numberOf(lksb) }, [], () => dumpLksb(lksb))),
    setRef:
      setRef &&
      ((connection, referenced) => {
        record('setRef', { group: connection.name }, [referenced], () => {
          setRef(belowOf(connection), referenced);
        });
      }),
  };

  return {
    name: inner.name,
    scope: inner.scope,
    features: inner.features,
    clock: inner.clock,
    operations: {
      connect: (connection, signal) =>
        recordAsync('connect', { group: connection.name }, () => {
          const own = layer(connection);
          connection.private = own;
          return operations.connect(own.below, signal);
        }),

      disconnect: (connection) =>
        recordAsync('disconnect', { group: connection.name }, () =>
          operations.disconnect(belowOf(connection)),
        ),

      thisNode: (connection) =>
        record('thisNode', { group: connection.name }, [], () =>
          operations.thisNode(belowOf(connection)),
        ),

      dlmLock: (connection, mode, lksb, flags, name) =>
        record(
          'dlmLock',
          { group: connection.name, lock: numberOf(lksb) },
          [mode, flags, name],
          () => operations.dlmLock(belowOf(connection), mode, lksb, flags, name),
        ),

      dlmUnlock: (connection, lksb, flags, astarg) =>
        record('dlmUnlock', { group: connection.name, lock: numberOf(lksb) }, [flags], () => {
          const unlocking: Unlocking = { lksb, astarg };
          return operations.dlmUnlock(belowOf(connection), lksb, flags, unlocking);
        }),

      lockStatus: (lksb) =>
        record('lockStatus', { lock: numberOf(lksb) }, [], () => operations.lockStatus(lksb)),

      lockMode: (lksb) =>
        record('lockMode', { lock: numberOf(lksb) }, [], () => operations.lockMode(lksb)),

      lvbValid: (lksb) =>
        record('lvbValid', { lock: numberOf(lksb) }, [], () => operations.lvbValid(lksb)),

      lockLvb: (lksb) =>
        record('lockLvb', { lock: numberOf(lksb) }, [], () => operations.lockLvb(lksb)),

      ...(Object.fromEntries(
        Object.entries(optional).filter(([, operation]) => operation !== undefined),
      ) as Partial<StackOperations>),
    },
  };
}
