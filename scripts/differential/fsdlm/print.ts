/** Disagreements for people. */
import type { Disagreement } from './differential.js';
import { firstDifference } from './outcomes.js';
import { describeCommand } from './program.js';

/** What was asked, and below each step what the locks were told; the two sides where they differ. */
export function printDisagreement({ program, kernel, engine, outcomes }: Disagreement): string {
  const lines = [
    `sequence ${program.name}, one resource; the engine allows ${outcomes} outcome(s), the closest is shown`,
  ];
  const until = firstDifference(kernel, engine);
  const said = (side: readonly string[], at: number): string => {
    const text = side[at] ?? '';
    return text === '' ? 'nothing' : text;
  };
  const show = (at: number): void => {
    if (kernel[at] === engine[at]) {
      if (kernel[at]) lines.push(`        ${kernel[at]}`);
      return;
    }
    lines.push(`        kernel: ${said(kernel, at)}`, `        engine: ${said(engine, at)}`);
  };
  program.steps.forEach((step, index) => {
    if (2 * index > until) return;
    if (program.death?.step === index) {
      lines.push(`${String(index).padStart(4)}  node ${program.death.node} dies`);
      show(2 * index);
    }
    step.forEach((command, place) => {
      const race = place > 0 ? '  race: ' : '';
      lines.push(`${String(index).padStart(4)}  ${race}${describeCommand(command)}`);
    });
    show(2 * index + 1);
  });
  return lines.join('\n');
}
