/** What is tried with the service: three nodes take numbers, while one or another dies. */
import { StackGlue } from '../../../lib/glue.js';
import type { NodeContext, Profile, Simulation } from '../../../lib/simulator/index.js';
import { IdService } from './id-service.js';

/** The label that the service connects with, by the profile. */
const STACK_NAMES: Record<Profile, string> = { o2dlm: 'o2cb', fsdlm: 'pcmk' };

const NODES = [1, 2, 3];
const NUMBERS_EACH = 5;

/** Numbers are taken on three nodes; rejects when one was given out twice. */
export async function takeNumbers(simulation: Simulation, checksBlock: boolean): Promise<void> {
  const givenTo = new Map<number, number>();
  let onDisk = 0;

  const program = async (node: NodeContext): Promise<void> => {
    const glue = new StackGlue();
    glue.register(node.plugin);
    const disk = {
      read: async () => {
        await node.sleep(4);
        return onDisk;
      },
      write: async (last: number) => {
        await node.sleep(4);
        onDisk = last;
      },
    };
    const stackName = STACK_NAMES[simulation.profile];
    const service = new IdService({ glue, stackName, disk, checksBlock });
    await service.start();
    for (let i = 0; i < NUMBERS_EACH; i += 1) {
      const id = await service.next();
      node.note(`has number ${id}`);
      const other = givenTo.get(id);
      if (other !== undefined) throw new Error(`n${other} and n${node.number} both have ${id}`);
      givenTo.set(id, node.number);
      await node.sleep(50 * node.random());
    }
  };

  for (const number of NODES) simulation.node(number, { program });
  simulation.chaos({ kills: 1, partitions: 1, pauses: 1, withinMs: 200, lengthMs: [10, 100] });
  await simulation.sleep(10_000);
}
