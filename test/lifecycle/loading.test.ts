/** When the addon is loaded, which one, and what a program hears when it cannot be: why, and what helps. */
import { expect } from 'chai';
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { interpreterOf, ownTarget, targetName } from '../../lib/addon-place.js';

const packageRoot = fileURLToPath(new URL('../../..', import.meta.url));
const built = join(packageRoot, 'build/Release');

interface Run {
  /** Of Node.js. */
  readonly args?: readonly string[];
  /** Of the program, first. */
  readonly before?: string;
  /** The stack that a lockspace is opened on. */
  readonly stack?: 'emulated' | 'user';
  /** What the process is run by. */
  readonly by?: readonly string[];
  /** Where the modules are. */
  readonly lib?: string;
}

/** Opens a lockspace in a process of its own; what it was told, or "loaded". */
function load(root: string, run: Run = {}): string {
  const { args = [], before = '', stack = 'emulated', by = [], lib = 'dist/lib' } = run;
  const index = JSON.stringify(join(root, lib, 'index.js'));
  const program = `import(${index}).then(async (stackglue) => {
    ${before}
    const lockspace = await stackglue.openLockspace('loading', { stack: '${stack}' });
    await lockspace.close();
    console.log('loaded');
  }).catch(({ code, message }) => console.log(code + ': ' + message));`;
  const [command, ...rest] = [...by, process.execPath, ...args, '-e', program];
  const env = { ...process.env };
  delete env.STACKGLUE_USER;
  const { stdout, stderr } = spawnSync(command, rest, { encoding: 'utf8', env });
  expect(stdout, stderr).not.to.equal('');
  return stdout;
}

const isSeen = (name: string, value: string): string =>
  `Object.defineProperty(process, '${name}', { value: '${value}' });`;

describe('loading', () => {
  let copy: string;
  let release: string;
  let prebuilt: string;

  /** The addon and the keeper, as built here, in a folder of the copy. */
  function place(folder: string): void {
    mkdirSync(folder, { recursive: true });
    for (const file of ['stackglue.node', 'stackglue-keeper']) {
      cpSync(join(built, file), join(folder, file));
    }
  }

  beforeEach(() => {
    copy = mkdtempSync(join(tmpdir(), 'stackglue-load-'));
    release = join(copy, 'build/Release');
    prebuilt = join(copy, 'prebuilds', ownTarget());
    cpSync(join(packageRoot, 'dist/lib'), join(copy, 'dist/lib'), { recursive: true });
    cpSync(join(packageRoot, 'package.json'), join(copy, 'package.json'));
    symlinkSync(join(packageRoot, 'node_modules'), join(copy, 'node_modules'));
  });
  afterEach(() => rmSync(copy, { recursive: true }));

  it('waits for the first use', () => {
    const program = `
      const at = (path) => import(${JSON.stringify(join(copy, 'dist/lib'))} + '/' + path);
      const { DlmError, DLM_LOCK } = await at('index.js');
      const { createUserPlugin, createO2cbPlugin, DlmLksb } = await at('glue.js');
      const { History } = await at('simulator/index.js');
      await at('conformance/index.js');
      createUserPlugin(); createO2cbPlugin(); new DlmLksb();
      console.log(DLM_LOCK.EX, DlmError.fromStatus(-11, { op: 'lock' }).status, typeof History);`;
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
      encoding: 'utf8',
    });
    expect(stdout, stderr).to.equal('5 EAGAIN function\n');
  });

  it('takes the prebuilt addon', () => {
    place(prebuilt);
    expect(load(copy)).to.equal('loaded\n');
  });

  it('prefers the one that was built here', () => {
    place(prebuilt);
    mkdirSync(release, { recursive: true });
    writeFileSync(join(release, 'stackglue.node'), 'not a library, but long enough for its header');
    expect(load(copy)).to.match(/^ERR_DLM_ADDON: .*build\/Release/);
    place(release);
    rmSync(join(copy, 'prebuilds'), { recursive: true });
    expect(load(copy)).to.equal('loaded\n');
  });

  it('knows the libc by the loader of the program', () => {
    const read = (path: string) => {
      const bytes = readFileSync(path);
      return (offset: number, length: number) => bytes.subarray(offset, offset + length);
    };
    expect(interpreterOf(read(process.execPath))).to.match(/\/ld-/);
    expect(interpreterOf(read(join(built, 'stackglue.node')))).to.equal(undefined);
    expect(interpreterOf(read(fileURLToPath(import.meta.url)))).to.equal(undefined);
    expect(interpreterOf(() => Buffer.alloc(0))).to.equal(undefined);
    expect(targetName('/lib/ld-musl-x86_64.so.1', 'x64')).to.equal('linuxmusl-x64');
    expect(targetName('/lib64/ld-linux-x86-64.so.2', 'x64')).to.equal('linux-x64');
    expect(targetName('/nix/store/musl-fork/lib/ld-linux-aarch64.so.1', 'arm64')).to.equal(
      'linux-arm64',
    );
    expect(targetName(undefined, 'x64')).to.equal('linux-x64');
  });

  it('says that addons were forbidden', () => {
    const args = ['--no-addons'];
    expect(load(packageRoot, { args })).to.match(/^ERR_DLM_ADDON: .*--no-addons/);
  });

  it('says what the permission model lacks', () => {
    const flag = process.allowedNodeEnvironmentFlags.has('--permission')
      ? '--permission'
      : '--experimental-permission';
    const args = [flag, '--allow-fs-read=*'];
    expect(load(packageRoot, { args })).to.match(/^ERR_DLM_ADDON: .*without --allow-addons/);
    expect(load(packageRoot, { args: [...args, '--allow-addons'] })).to.equal('loaded\n');
  });

  it('says that the package is not whole', () => {
    expect(load(copy)).to.match(
      /^ERR_DLM_ADDON: .*without its folder prebuilds\/linux\S+,.*npx stackglue-build/,
    );
  });

  it('says that there is none for this processor, and who does not build it', () => {
    expect(load(copy, { before: isSeen('arch', 'riscv64') })).to.match(
      /^ERR_DLM_ADDON: .*no binary for linux\S*-riscv64.*npm, pnpm and bun.*npx stackglue-build/,
    );
  });

  for (const platform of ['darwin', 'win32']) {
    it(`says what can be done on ${platform}`, () => {
      const said = load(packageRoot, { before: isSeen('platform', platform) });
      expect(said).to.match(/^ERR_DLM_ADDON: .*Linux only.*container.*virtual machine/);
    });
  }

  it('says that Deno does not do', () => {
    const versions = "{ ...process.versions, deno: '2.0.0' }";
    const before = `Object.defineProperty(process, 'versions', { value: ${versions} });`;
    expect(load(packageRoot, { before })).to.match(/^ERR_DLM_ADDON: .*Deno.*Node\.js/);
  });

  it('says that it is of another version', () => {
    place(release);
    expect(load(copy)).to.equal('loaded\n');
    const path = join(copy, 'dist/lib/native.js');
    const text = readFileSync(path, 'utf8');
    expect(text).to.contain('nodeLeft: 2,');
    writeFileSync(path, text.replace('nodeLeft: 2,', 'nodeLeft: 3,'));
    expect(load(copy)).to.match(
      /^ERR_DLM_ADDON: .*another version than the package.*npx stackglue-build/,
    );
  });

  it('says that it is damaged, or for another processor', () => {
    mkdirSync(release, { recursive: true });
    writeFileSync(join(release, 'stackglue.node'), 'not a library, but long enough for its header');
    expect(load(copy)).to.match(/^ERR_DLM_ADDON: .*another processor, or is damaged/);
  });

  it('says that it is for another libc', () => {
    place(release);
    const path = join(release, 'stackglue.node');
    const text = readFileSync(path, 'latin1');
    expect(text).to.contain('\0libc.so.6\0');
    writeFileSync(path, text.replace('\0libc.so.6\0', '\0libc.musl\0'), 'latin1');
    expect(load(copy)).to.match(/^ERR_DLM_ADDON: .*another libc.*npx stackglue-build/);
  });

  it('says that its file system runs no programs', function () {
    const by = ['unshare', '--mount'];
    if (spawnSync('unshare', ['--mount', 'true']).status !== 0) {
      console.log('      skipped: nothing can be mounted here');
      this.skip();
    }
    place(release);
    const mount = `mount -t tmpfs -o noexec tmpfs "$0" && cp "${built}"/stackglue* "$0" && exec "$@"`;
    expect(load(copy, { by: [...by, 'sh', '-c', mount, release] })).to.match(
      /^ERR_DLM_ADDON: .*noexec/,
    );
  });

  it('says that it was bundled, and takes the addon that it is given', () => {
    cpSync(join(copy, 'dist/lib'), join(copy, 'bundle'), { recursive: true });
    place(join(copy, 'brought'));
    const lib = 'bundle';
    expect(load(copy, { lib })).to.match(
      /^ERR_DLM_ADDON: .*bundled.*--external:stackglue.*useNativeBinding\(\)/,
    );
    const path = join(copy, 'brought/stackglue.node');
    for (const file of [`'${path}'`, `new URL('file://${path}')`, `'file://${path}'`]) {
      expect(load(copy, { lib, before: `stackglue.useNativeBinding(${file});` })).to.equal(
        'loaded\n',
      );
    }
    expect(load(copy, { before: "stackglue.useNativeBinding('/nowhere.node');" })).to.match(
      /^ERR_DLM_ADDON: .*no such file.*\/nowhere\.node/,
    );
    expect(load(copy, { before: 'stackglue.useNativeBinding(1);' })).to.match(
      /^ERR_INVALID_ARG_TYPE: The "file" argument/,
    );
  });

  it('takes no second one', () => {
    place(release);
    const before = `const first = await stackglue.openLockspace('first', { stack: 'emulated' });
      await first.close();
      stackglue.useNativeBinding('/other.node');`;
    expect(load(copy, { before })).to.match(/^ERR_DLM_ADDON: .*too late/);
  });

  describe('the keeper', () => {
    const keeper = () => join(release, 'stackglue-keeper');

    beforeEach(() => place(release));

    it('is missed, where it was not copied along', () => {
      rmSync(keeper());
      expect(load(copy, { stack: 'user' })).to.match(
        /^ERR_DLM_NO_KEEPER: .*is not beside the addon/,
      );
    });

    it('is told of, where it may not be run', () => {
      chmodSync(keeper(), 0o644);
      expect(load(copy, { stack: 'user' })).to.match(
        /^ERR_DLM_NO_KEEPER: .*may not be run.*noexec/,
      );
    });

    it('of another version is refused, whatever it says', () => {
      writeFileSync(keeper(), '#!/bin/sh\nprintf hello >&3\ncat <&3 >/dev/null\n');
      expect(load(copy, { stack: 'user' })).to.match(/^ERR_DLM_NO_KEEPER: .*of another version/);
    });

    it('refuses an addon of another version, and says its own', () => {
      const { version } = JSON.parse(readFileSync(join(copy, 'package.json'), 'utf8')) as {
        version: string;
      };
      const { output } = spawnSync(keeper(), ['lockspace', '0.0.0-other', 'stays'], {
        stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
      });
      const report = output[3] as unknown as Buffer;
      // `KeeperReport` of native/kernel/keeper_protocol.h: kFailed, kOtherKeeper.
      expect([report.readUInt32LE(0), report.readInt32LE(4)]).to.deep.equal([1, 14]);
      expect(report.toString('latin1')).to.contain(`\0${version}\0`);
    });
  });
});
