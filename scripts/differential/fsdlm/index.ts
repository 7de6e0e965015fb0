/** Profile `fsdlm`: the engine against the kernel's DLM, both through stack `user`. */
import { batchesOf, type Outcome, type ProfileOptions } from '../profile.js';
import { at } from './batch.js';
import { BATCH, generate, judge, runOnKernel } from './differential.js';
import { KernelLab } from './kernel-world.js';
import type { CallbackRules } from './callbacks.js';
import { brokenInvariants } from './invariants.js';
import { printDisagreement } from './print.js';
import { shrink } from './shrink.js';

const rulesOf = (kernel: string): CallbackRules => (kernel.includes('6.12') ? '6.12' : '6.1');

/** Runs sequences on one kernel. */
export async function runFsdlm(options: ProfileOptions): Promise<Outcome> {
  const { kernel, seed, sequences, commands, say, progress, first = 0, shrinks } = options;
  const rules = rulesOf(kernel);
  const lab = await KernelLab.boot(kernel, progress);
  const started = performance.now();
  let agreed = 0;
  let given = 0;
  const disagreements: string[] = [];
  try {
    for (const numbers of batchesOf(first, sequences, BATCH)) {
      const batch = Math.floor((numbers[0] ?? 0) / BATCH);
      const t0 = performance.now();
      const { programs, result } = await generate(seed, numbers, commands, batch);
      const t1 = performance.now();
      const onKernel = await runOnKernel(lab, programs);
      const t2 = performance.now();
      const found = await judge(programs, onKernel, rules, result);
      const t3 = performance.now();
      if (onKernel.notices.join() !== result.notices.join()) {
        disagreements.push(
          `notices: kernel ${onKernel.notices.join()}, engine ${result.notices.join()}`,
        );
      }
      const bad = new Set(found.map(({ program }) => program.name));
      programs.forEach((program, run) => {
        const broken = brokenInvariants(program, at(onKernel.histories, run));
        if (broken.length === 0) return;
        const text = `sequence ${program.name} on the kernel: ${broken.join('; ')}`;
        bad.add(program.name);
        disagreements.push(text);
        say(`\n${text}`);
      });
      agreed += programs.length - bad.size;
      given += programs.reduce((sum, { steps }) => sum + steps.flat().length, 0);
      for (const [index, disagreement] of found.entries()) {
        say(`\n${printDisagreement(disagreement)}`);
        let smallest = disagreement;
        if (index < shrinks) {
          say(`\nshrinking sequence ${disagreement.program.name}:`);
          smallest = await shrink(lab, disagreement, rules);
          say(printDisagreement(smallest));
        }
        disagreements.push(printDisagreement(smallest));
      }
      const seconds = [t1 - t0, t2 - t1, t3 - t2].map((ms) => (ms / 1000).toFixed(1));
      say(
        `${agreed} agree, ${disagreements.length} disagreements` +
          ` (engine ${seconds[0]} s, kernel ${seconds[1]} s, comparison ${seconds[2]} s)`,
      );
    }
  } finally {
    await lab.close();
  }
  const seconds = (performance.now() - started) / 1000;
  return { agreed, commands: given, disagreements, undecided: 0, seconds };
}
