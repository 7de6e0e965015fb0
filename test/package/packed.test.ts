/** The tarball, as its users get at it: installed by each package manager, on each line of Node.js. */
import { expect } from 'chai';
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { pack, type Packed } from '../../scripts/release/pack.js';
import { PROJECT_ROOT } from '../../scripts/vm/paths.js';
import { ownTarget } from '../../lib/addon-place.js';
import { consumerIn, MODULE, npm, OF_NPM, prebuildFor } from './consumer.js';
import { run, toolsOrSkip, USE, USED } from './consumer.js';

const LINES = ['20', '22', '24', '26'];
const ENTRIES = ['', '/glue', '/simulator', '/conformance', '/web-locks', '/recipes'];
/** Of our files a program may load no more than this: each takes half a millisecond of its start. */
const FILES_MAX = 3;
/** Which function or class each export of the entries is, by its own name, and whether all have one `DlmError`. */
const NAMES = `
const entries = await Promise.all(${JSON.stringify(ENTRIES)}.map((entry) => import('stackglue' + entry)));
const functions = (entry) => Object.entries(entry).filter(([, value]) => typeof value === 'function');
console.log(JSON.stringify(entries.map((entry) => functions(entry).map(([key, { name }]) => [key, name]))));
const [stackglue, glue] = entries;
if (stackglue.DlmError !== glue.DlmError) throw new Error('There are two of them');
`;
const COMMON_JS = `const { openLockspace } = require('stackglue');
(async () => {${USE}})();
`;
const BUNDLED = `import { openLockspace, useNativeBinding } from 'stackglue';
if (process.argv[2]) useNativeBinding(process.argv[2]);
(async () => {${USE}})().catch(({ code, message }) => console.log(code + ': ' + message));
`;
const TYPED = `import { openLockspace, DlmError, type Lock, type LockspaceOptions } from 'stackglue';
import { StackGlue, createO2cbPlugin } from 'stackglue/glue';
import { Simulation } from 'stackglue/simulator';
import { stackConformance } from 'stackglue/conformance';
const options: LockspaceOptions = { stack: 'emulated', timeoutMs: 5 };
export const held = async (): Promise<Lock> => (await openLockspace('typed', options)).lock('name', 'EX');
// @ts-expect-error -- no such mode
export const none = async (): Promise<Lock> => (await openLockspace('typed', options)).lock('name', 'XX');
export const all = [StackGlue, createO2cbPlugin, Simulation, stackConformance, DlmError];
`;

describe('the packed tarball', () => {
  let tools: string;
  let folder = '';
  let packed: Packed;
  let consumers = '';
  const node = (line: string): string => join(tools, `node-${line}/bin/node`);

  before(async function () {
    tools = await toolsOrSkip(this);
    await prebuildFor(ownTarget());
    folder = mkdtempSync(join(tmpdir(), 'stackglue-packed-'));
    consumers = join(folder, 'consumers');
    packed = await pack(folder);
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  const consumer = (name: string): string => consumerIn(join(consumers, name));

  /** The same with the tarball installed, once. */
  function installed(): string {
    const path = join(consumers, 'installed');
    if (!existsSync(path)) {
      run(consumer('installed'), 'npm', [...npm(packed.path), '--ignore-scripts']);
    }
    return path;
  }

  it('has both programs, of which one may be run, and their checksums', () => {
    const modeOf = (path: string) => packed.files.find((file) => file.path === path)?.mode;
    expect(modeOf('prebuilds/linux-x64/stackglue-keeper')).to.equal(0o755);
    expect(modeOf('prebuilds/linux-x64/stackglue.node')).to.equal(0o644);
    expect(modeOf('prebuilds/SHA256SUMS')).to.equal(0o644);
    // It would be taken for a script that builds.
    expect(modeOf('binding.gyp')).to.equal(undefined);
    run(join(installed(), 'node_modules/stackglue/prebuilds'), 'sha256sum', [
      ...['--check', '--ignore-missing', '--strict', '--quiet', 'SHA256SUMS'],
    ]);
  });

  for (const [name, command] of Object.entries({
    'the npm of this machine': (path: string) => ['npm', ...npm(path), '--ignore-scripts'],
    'npm 12, as it is': (path: string) => [
      ...[node(OF_NPM), join(tools, 'npm/bin/npm-cli.js'), ...npm(path)],
    ],
    'pnpm, as it is': (path: string) => [join(tools, '@pnpm/exe.linux-x64/pnpm'), 'add', path],
    yarn: (path: string) => [
      ...[node(OF_NPM), join(tools, '@yarnpkg/cli-dist/bin/yarn.js'), 'add', `stackglue@${path}`],
    ],
  })) {
    it(`is installed by ${name}, without a script, and locks`, () => {
      const path = consumer(name.replaceAll(/\W+/g, '-'));
      writeFileSync(join(path, 'main.mjs'), MODULE);
      writeFileSync(join(path, 'yarn.lock'), '');
      writeFileSync(
        join(path, '.yarnrc.yml'),
        'nodeLinker: node-modules\nenableTelemetry: false\nenableScripts: false\n',
      );
      const [program = '', ...args] = command(packed.path);
      run(path, program, args);
      expect(existsSync(join(path, 'node_modules/stackglue/build'))).to.equal(false);
      const { mode } = statSync(
        join(path, 'node_modules/stackglue/prebuilds/linux-x64/stackglue-keeper'),
      );
      expect(mode & 0o111).to.equal(0o111);
      expect(run(path, process.execPath, ['main.mjs'])).to.equal(USED);
    });
  }

  it('needs no compiler, make or python3, and no other program', () => {
    const path = consumer('alone');
    const programs = join(folder, 'programs');
    mkdirSync(programs);
    symlinkSync(node(OF_NPM), join(programs, 'node'));
    const env = { PATH: programs };
    for (const tool of ['gcc', 'g++', 'cc', 'make', 'python3', 'node-gyp', 'sh']) {
      const { error } = spawnSync(tool, ['--version'], { env });
      expect(error, tool).to.have.property('code', 'ENOENT');
    }
    writeFileSync(join(path, 'main.mjs'), MODULE);
    run(path, 'node', [join(tools, 'npm/bin/npm-cli.js'), ...npm(packed.path)], env);
    expect(run(path, 'node', ['main.mjs'], env)).to.equal(USED);
  });

  for (const line of LINES) {
    it(`runs on Node.js ${line}`, () => {
      const path = installed();
      writeFileSync(join(path, 'main.mjs'), MODULE);
      writeFileSync(join(path, 'main.cjs'), COMMON_JS);
      expect(run(path, node(line), ['main.mjs'])).to.equal(USED);
      expect(run(path, node(line), ['--no-warnings', 'main.cjs'])).to.equal(USED);
    });
  }

  it('loads a few files, whatever of it is imported', () => {
    const path = installed();
    for (const entry of ENTRIES) {
      const told = mkdtempSync(join(folder, 'loaded-'));
      writeFileSync(join(path, 'one.mjs'), `import 'stackglue${entry}';`);
      run(path, process.execPath, ['one.mjs'], { NODE_V8_COVERAGE: told });
      const loaded = readdirSync(told).flatMap((file) => {
        const { result } = JSON.parse(readFileSync(join(told, file), 'utf8')) as {
          result: { url: string }[];
        };
        return result.filter(({ url }) => url.includes('/node_modules/stackglue/'));
      });
      expect(loaded, `stackglue${entry}`).to.have.length.within(1, FILES_MAX);
    }
  });

  it('has one of each class for all entries, under the names that it has in the sources', () => {
    const path = installed();
    writeFileSync(join(path, 'names.mjs'), NAMES);
    const names = run(path, process.execPath, ['names.mjs']);
    // Imported by its own name the checkout is not bundled.
    const own = ['--input-type=module', '--eval', NAMES];
    expect(JSON.parse(names)).to.deep.equal(JSON.parse(run(PROJECT_ROOT, process.execPath, own)));
  });

  it('has source maps that show lines of the sources it brings along', () => {
    const path = installed();
    writeFileSync(
      join(path, 'fails.mjs'),
      "import { openLockspace } from 'stackglue'; await openLockspace(1).catch(({ stack }) => console.log(stack));",
    );
    const stack = run(path, process.execPath, ['--enable-source-maps', 'fails.mjs']);
    const [, file = '', line = ''] =
      /\((.*\/stackglue\/lib\/locks\/\S+\.ts):(\d+):/.exec(stack) ?? [];
    expect(existsSync(file), stack).to.equal(true);
    expect(Number(line)).to.be.within(1, readFileSync(file, 'utf8').split('\n').length);
  });

  it('is not made by npm pack in a checkout, which says how it is', () => {
    const args = ['pack', '--dry-run'];
    const { status, stderr } = spawnSync('npm', args, { cwd: PROJECT_ROOT, encoding: 'utf8' });
    expect(status).to.equal(1);
    expect(stderr).to.contain('npm run release -- --dry-run');
  });

  it('runs on Bun, and says that the cluster does not', () => {
    const path = installed();
    const bun = join(tools, '@oven/bun-linux-x64-baseline/bin/bun');
    writeFileSync(join(path, 'main.mjs'), MODULE);
    expect(run(path, bun, ['main.mjs'])).to.equal(USED);
    writeFileSync(join(path, 'user.mjs'), BUNDLED.replaceAll("'emulated'", "'user'"));
    expect(run(path, bun, ['user.mjs'])).to.match(/^ERR_DLM_ADDON: .*Bun/);
  });

  it('says that it does not run on Deno', () => {
    const path = installed();
    writeFileSync(join(path, 'told.mjs'), BUNDLED.replaceAll('process.argv[2]', 'false'));
    const env = { DENO_NO_UPDATE_CHECK: '1', DENO_DIR: join(folder, 'deno') };
    const deno = [
      join(tools, '@deno/linux-x64-glibc/deno'),
      'run',
      '-A',
      '--node-modules-dir=manual',
    ];
    expect(run(path, '/bin/sh', ['-c', `exec "$0" "$@"`, ...deno, 'told.mjs'], env)).to.match(
      /^ERR_DLM_ADDON: .*Deno/,
    );
  });

  for (const [module, moduleResolution] of [
    ['node16', 'node16'],
    ['nodenext', 'nodenext'],
    ['esnext', 'bundler'],
  ] as const) {
    it(`has types for ${moduleResolution}, which are checked too`, () => {
      const path = installed();
      writeFileSync(join(path, 'typed.ts'), TYPED);
      const types = join(path, 'node_modules/@types');
      if (!existsSync(types)) symlinkSync(join(PROJECT_ROOT, 'node_modules/@types'), types);
      writeFileSync(
        join(path, 'tsconfig.json'),
        JSON.stringify({
          compilerOptions: {
            ...{ module, moduleResolution, target: 'es2022', strict: true, noEmit: true },
            ...{ skipLibCheck: false, exactOptionalPropertyTypes: true, types: [] },
          },
          files: ['typed.ts'],
        }),
      );
      run(path, process.execPath, [join(PROJECT_ROOT, 'node_modules/typescript/bin/tsc')]);
    });
  }

  it('is left out by a bundler that is told so', () => {
    const path = installed();
    writeFileSync(join(path, 'main.mjs'), MODULE);
    run(path, join(tools, '@esbuild/linux-x64/bin/esbuild'), [
      ...['main.mjs', '--bundle', '--platform=node', '--format=esm', '--external:stackglue'],
      ...['--outfile=bundled.mjs', '--log-level=warning'],
    ]);
    expect(run(path, process.execPath, ['bundled.mjs'])).to.equal(USED);
  });

  for (const [format, file] of [
    ['esm', 'all.mjs'],
    ['cjs', 'all.cjs'],
  ] as const) {
    it(`says what is missing when it is bundled (${format}), and takes a copy of the addon`, () => {
      const path = installed();
      const alone = join(folder, 'alone', format);
      writeFileSync(join(path, 'all.ts'), BUNDLED);
      run(path, join(tools, '@esbuild/linux-x64/bin/esbuild'), [
        ...['all.ts', '--bundle', '--platform=node', `--format=${format}`],
        ...[`--outfile=${join(alone, file)}`, '--log-level=error'],
      ]);
      expect(run(alone, process.execPath, [file])).to.match(/^ERR_DLM_ADDON: .*useNativeBinding/);
      cpSync(join(path, 'node_modules/stackglue/prebuilds/linux-x64'), join(alone, 'addon'), {
        recursive: true,
      });
      expect(run(alone, process.execPath, [file, './addon/stackglue.node'])).to.equal(USED);
    });
  }

  it('has no fault that publint or attw know', () => {
    run(folder, process.execPath, [join(tools, '.bin/publint'), packed.path, '--strict']);
    // ESM only; what knows no "exports" (node10) finds the main entry, and no other.
    run(folder, process.execPath, [
      ...[join(tools, '.bin/attw'), packed.path],
      ...['--profile', 'esm-only'],
    ]);
  });
});
