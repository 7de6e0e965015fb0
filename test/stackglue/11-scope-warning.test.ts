/** The emulation is never taken for a cluster by accident. A process warns once, so each case is one. */
import { expect } from 'chai';

import { runChild } from '../lifecycle/run-child.js';

interface Outcome {
  warnings: { code: string; message: string }[];
  scopes: string[];
}

async function outcomeOf(...stackNames: string[]): Promise<Outcome> {
  const child = runChild(new URL('children/scope-warning.js', import.meta.url), stackNames);
  const exit = await child.exit;
  expect(exit, exit.output).to.include({ code: 0, signal: null });
  return JSON.parse(exit.stdout) as Outcome;
}

describe('process scope warning', () => {
  it('comes once, however often no stack was named', async () => {
    const { warnings, scopes } = await outcomeOf('', '', '');
    expect(scopes).to.deep.equal(['process', 'process', 'process']);
    expect(warnings).to.have.lengthOf(1);
    expect(warnings[0]).to.include({ code: 'STACKGLUE_PROCESS_SCOPE' });
    expect(warnings[0]?.message).to.match(/end at this process/);
  });

  it('does not come for a stack that was named', async () => {
    expect((await outcomeOf('o2cb', 'o2cb')).warnings).to.deep.equal([]);
  });
});
