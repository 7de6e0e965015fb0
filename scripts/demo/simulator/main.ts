/** `npm run demo:simulator`: a planted bug, the seed that shows it, and the service without it. */
import { explore, replay, SimulationError } from '../../../lib/simulator/index.js';
import { takeNumbers } from './scenario.js';

const SEEDS = 500;

/** The failure that some seed shows. */
async function findBug(): Promise<SimulationError> {
  try {
    await explore({ seeds: SEEDS, run: (simulation) => takeNumbers(simulation, false) });
  } catch (error) {
    if (error instanceof SimulationError) return error;
    throw error;
  }
  throw new Error(`no seed up to ${SEEDS} shows the bug`);
}

console.log('A service hands out numbers, each once. It forgets that a value block can be lost.\n');
const start = performance.now();
const failure = await findBug();
const tookMs = performance.now() - start;
console.log(failure.message);
console.log(`\nFound in ${(tookMs / 1000).toFixed(1)} s. The seed and this history show it again:`);
try {
  await replay(failure.history.toString(), (simulation) => takeNumbers(simulation, false));
} catch (error) {
  console.log(`  replayed: ${error instanceof Error ? error.message : String(error)}`);
}
const runs = await explore({ seeds: SEEDS, run: (simulation) => takeNumbers(simulation, true) });
console.log(`  the service that looks at the disk then: right with all ${runs} seeds`);
