/** The emulation is never taken for a cluster by accident. A process warns once, so each case is one. */
import { expect } from 'chai';

import { runChild } from '../lifecycle/run-child.js';

interface Outcome {
  warnings: { code: string; message: string }[];
  scopes: string[];
}

async function outcomeOf(...stackNames: string[]): Promise<Outcome> {
  return outcomeWith({}, ...stackNames);
}

async function outcomeWith(env: Record<string, string>, ...stackNames: string[]): Promise<Outcome> {
  const program = new URL('children/scope-warning.js', import.meta.url);
  const child = runChild(program, stackNames, [], env);
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

  it('comes with STACKGLUE_USER=emulated, which has the default glue emulate stack user', async () => {
    const emulated = await outcomeWith({ STACKGLUE_USER: 'emulated' }, 'pcmk', 'pcmk');
    expect(emulated.scopes).to.deep.equal(['process', 'process']);
    expect(emulated.warnings).to.have.lengthOf(1);
    expect(emulated.warnings[0]).to.include({ code: 'STACKGLUE_EMULATED' });
    expect(emulated.warnings[0]?.message).to.match(/end at this process/);
  });

  it('is an error for a STACKGLUE_USER that is not known', async () => {
    const program = new URL('children/scope-warning.js', import.meta.url);
    const exit = await runChild(program, ['pcmk'], [], { STACKGLUE_USER: 'emulate' }).exit;
    expect(exit).to.include({ code: 1, signal: null });
    expect(exit.output).to.include('ERR_DLM_ENVIRONMENT').and.to.include('"emulate"');
  });
});
