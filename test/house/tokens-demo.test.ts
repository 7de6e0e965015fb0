/** `npm run demo:tokens`: what it shows is so, and it says so. */
import { expect } from 'chai';
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const packageRoot = fileURLToPath(new URL('../../..', import.meta.url));

describe('the demo of tokens', () => {
  let acts: string[];

  before(async () => {
    // Rejects unless it ends with 0.
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['dist/scripts/demo/tokens/main.js'],
      { cwd: packageRoot },
    );
    acts = stdout.split(/^Act \d\. .*$/m);
  });

  it('says what is emulated, and where the same is to be had on real nodes', () => {
    expect(acts).to.have.length(4);
    expect(acts[0]).to.contain('Emulated here: the nodes are threads');
    expect(acts[3]).to.contain('real SIGSTOP');
  });

  it('shows that a lock alone does not keep a late write out', () => {
    expect(acts[1]).to.match(/node 2 +writes "backup of Tuesday"[^]*takes it[^]*node 1 +writes/);
    expect(acts[1]).not.to.contain('REFUSES');
    expect(acts[1]).to.contain('The store says "backup of Monday"');
  });

  it('shows that a store which looks at tokens refuses it', () => {
    const [first = '0', second = '0'] = tokensIn(acts[2] ?? '');
    expect(BigInt(second) > BigInt(first), `${second} above ${first}`).to.equal(true);
    expect(acts[2]).to.contain(`"volume-7" is for token ${second} or higher now; ${first} is`);
    expect(acts[2]).to.contain('The store says "backup of Tuesday". Right');
    expect(acts[2]).to.match(/REFUSES[^]*node 1 +is told that its lock is lost/);
  });

  it('shows that tokens go on above what the store has seen', () => {
    const [, before = '0'] = tokensIn(acts[2] ?? '');
    const [next = '0'] = tokensIn(acts[3] ?? '');
    expect(BigInt(next) > BigInt(before), `${next} above ${before}`).to.equal(true);
    expect(acts[3]).to.contain('The store says "backup of Wednesday". Right');
  });
});

/** The tokens of the grants, in order. */
function tokensIn(act: string): string[] {
  return [...act.matchAll(/has EX .* with token (\d+)/g)].flatMap(([, token]) => token ?? []);
}
