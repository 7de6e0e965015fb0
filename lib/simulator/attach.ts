/** The worker's side of a node whose programs run in a worker thread; see protocol.ts. */
import { MessageChannel, receiveMessageOnPort, type MessagePort } from 'node:worker_threads';

import { checkFunction } from '../errors.js';
import { simulationRefusal } from './errors.js';
import type { Profile } from './history.js';
import type { NodeProgram } from './node.js';
import { ProgramLife } from './program.js';
import {
  FLAG,
  type Answer,
  type ControlMessage,
  type TurnMessage,
  type WorkerMessage,
} from './worker-messages.js';
import type { SimulationPort } from './port.js';
import { checkPort } from './remote-host.js';
import { drained, WORLD_CALLS, type World } from './world.js';

/** A port to the thread that simulates, with calls that wait for their answer. */
class Line {
  readonly #port: MessagePort;
  readonly #answers: MessagePort;
  readonly #flag = new Int32Array(new SharedArrayBuffer(FLAG.words * 4));
  nowUs = 0;

  constructor(port: MessagePort) {
    const { port1, port2 } = new MessageChannel();
    this.#port = port;
    this.#answers = port1;
    const attached: WorkerMessage = { kind: 'attached', answers: port2, flag: this.#flag };
    port.postMessage(attached, [port2]);
  }

  call(name: string, args: readonly unknown[]): unknown {
    const flag = this.#flag;
    Atomics.store(flag, FLAG.answered, 0);
    // The other side sets this first, and then what is waited for.
    if (Atomics.load(flag, FLAG.closed) === 1) throw closed();
    this.#port.postMessage({ kind: 'call', name, args } satisfies WorkerMessage);
    Atomics.wait(flag, FLAG.answered, 0);
    const received = receiveMessageOnPort(this.#answers) as { message: Answer } | undefined;
    if (received === undefined) throw closed();
    const { message } = received;
    if ('error' in message) throw message.error;
    return message.result;
  }

  get isClosed(): boolean {
    return Atomics.load(this.#flag, FLAG.closed) === 1;
  }

  drained(): void {
    this.#port.postMessage({ kind: 'drained' } satisfies WorkerMessage);
  }

  close(): void {
    this.#port.close();
    this.#answers.close();
  }
}

function closed(): Error {
  return simulationRefusal('ERR_DLM_SIMULATION_CLOSED', 'The simulation is closed');
}

/** The world over a line. */
function remoteWorld(line: Line, profile: Profile): World {
  const calls = Object.fromEntries(
    WORLD_CALLS.map((name) => [name, (...args: unknown[]) => line.call(name, args)]),
  ) as Pick<World, (typeof WORLD_CALLS)[number]>;
  return {
    ...calls,
    get nowUs() {
      return line.nowUs;
    },
    profile,
    fail: (error) => {
      line.call('fail', [error]);
    },
  };
}

/**
 * Called by a worker thread that has a node of a simulation in another thread: `port` is the other end
 * of what `simulation.node(number, { port })` was given. `program` runs here at each boot of the node.
 * It may do nothing but in the turns that it gets by the simulation, which comes to that by itself as
 * long as all its times, messages and choices are the simulation's. The port keeps the thread alive
 * until the simulation is closed.
 */
export function attachSimulation(port: SimulationPort, program: NodeProgram): void {
  checkPort('port', port);
  checkFunction('program', program);
  const line = new Line(port);
  let world: World | undefined;
  let number = 0;
  let current: ProgramLife | undefined;

  const answerCall = async (id: number, name: string, args: unknown[]): Promise<void> => {
    const life = current;
    if (life === undefined) return;
    try {
      const result = await life.call(name, args);
      line.call('resolve', [id, result]);
    } catch (error) {
      // Nobody is there to be told any more.
      if (!line.isClosed) line.call('reject', [id, error]);
    }
  };

  /** Resolves when what is told one after the other has been told. */
  const take = async (message: TurnMessage): Promise<void> => {
    switch (message.turn) {
      case 'boot':
        if (world !== undefined) current = new ProgramLife(world, number, program);
        current?.boot();
        break;
      case 'deliver':
        current?.life.deliver(message.event);
        break;
      case 'goOff':
        current?.life.goOff(message.timer);
        break;
      case 'lose':
        await current?.life.lose(message.connection, message.ends);
        break;
      case 'fence': {
        const fenced = current;
        current = undefined;
        await fenced?.fence(message.ends);
        break;
      }
      case 'call':
        void answerCall(message.id, message.name, message.args);
    }
  };

  port.on('message', (message: TurnMessage | ControlMessage) => {
    switch (message.turn) {
      case 'begin':
        number = message.number;
        world = remoteWorld(line, message.profile);
        break;
      case 'end':
        current?.end();
        current = undefined;
        break;
      case 'close':
        current?.end();
        line.close();
        break;
      default:
        line.nowUs = message.nowUs;
        void take(message)
          .then(drained)
          .then(() => line.drained());
    }
  });
}
