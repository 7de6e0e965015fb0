/**
 * The code blocks of all READMEs: TypeScript is compiled against the package as a user has it; what is a program of
 * plain JavaScript that begins with a comment of how to run it is run so, on the emulation.
 *
 * What a block takes for given is declared in a comment before it: <!-- given: declare const x: number; -->
 */
import { expect } from 'chai';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const packageRoot = fileURLToPath(new URL('../../..', import.meta.url));

interface Block {
  readonly place: string;
  readonly language: string;
  readonly code: string;
}

const FENCE = /(?:<!-- given: ([^]*?) -->\n+)? *```(ts|js)\n([^]*?)```\n/g;

/** Pages of this repository. */
function pages(): string[] {
  const { stdout } = spawnSync('git', ['ls-files', '*.md'], { cwd: packageRoot, encoding: 'utf8' });
  const tracked = stdout.split('\n').filter((path) => path !== '');
  // Of a tarball, without git, those that matter most.
  return tracked.length > 0 ? tracked : ['README.md'];
}

function blocksOf(path: string): Block[] {
  const text = readFileSync(join(packageRoot, path), 'utf8');
  return [...text.matchAll(FENCE)].map((match) => {
    const [, given = '', language = '', code = ''] = match;
    const line = text.slice(0, match.index).split('\n').length;
    return { place: `${path}:${line}`, language, code: `${given}\n${code}` };
  });
}

const blocks = pages().flatMap(blocksOf);

describe('code blocks of the documentation', function () {
  // A compiler takes its time, and ends by itself.
  this.timeout(0);
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'stackglue-readme-'));
    mkdirSync(join(folder, 'node_modules'));
    symlinkSync(packageRoot, join(folder, 'node_modules/stackglue'));
    symlinkSync(join(packageRoot, 'node_modules/@types'), join(folder, 'node_modules/@types'));
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it('compile', () => {
    const sources = blocks.filter(({ language }) => language === 'ts');
    expect(sources).not.to.deep.equal([]);
    for (const [index, { code }] of sources.entries()) {
      writeFileSync(join(folder, `block-${index}.ts`), `${code}\nexport {};\n`);
    }
    const compilerOptions = {
      module: 'nodenext',
      target: 'es2022',
      lib: ['es2023', 'esnext.disposable'],
      strict: true,
      noEmit: true,
      types: ['node'],
      skipLibCheck: true,
    };
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions }));
    const tsc = join(packageRoot, 'node_modules/typescript/bin/tsc');
    const { status, stdout } = spawnSync(process.execPath, [tsc, '-p', folder], {
      encoding: 'utf8',
    });
    const places = stdout.replaceAll(
      /\S*block-(\d+)\.ts/g,
      (_, index: string) => sources[Number(index)]?.place ?? '',
    );
    expect(status, places).to.equal(0);
  });

  it('run, where they are programs', () => {
    const programs = blocks.filter(({ code }) => /^\s*\/\/ \S+\.mjs: /.test(code));
    expect(programs).not.to.deep.equal([]);
    for (const { place, code } of programs) {
      writeFileSync(join(folder, 'program.mjs'), code);
      const { status, stderr } = spawnSync(process.execPath, ['program.mjs'], {
        cwd: folder,
        encoding: 'utf8',
        env: { ...process.env, STACKGLUE_USER: 'emulated' },
      });
      expect(status, `${place}: ${stderr}`).to.equal(0);
    }
  });
});
