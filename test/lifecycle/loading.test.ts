/** What a program hears when the addon cannot be loaded: why, and what helps. */
import { expect } from 'chai';
import {
  cpSync,
  mkdtempSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const packageRoot = fileURLToPath(new URL('../../..', import.meta.url));

/** Loads the package in a process with these arguments; its code and message, or "loaded". */
function load(root: string, args: readonly string[] = []): string {
  const index = join(root, 'dist/lib/glue.js');
  const program = `import(${JSON.stringify(index)}).then(
    () => console.log('loaded'),
    ({ code, message }) => console.log(code + ': ' + message),
  );`;
  const { stdout, stderr } = spawnSync(process.execPath, [...args, '-e', program], {
    encoding: 'utf8',
  });
  expect(stdout, stderr).not.to.equal('');
  return stdout;
}

describe('loading', () => {
  let copy: string;
  let release: string;

  beforeEach(() => {
    copy = mkdtempSync(join(tmpdir(), 'stackglue-load-'));
    release = join(copy, 'build/Release');
    mkdirSync(release, { recursive: true });
    cpSync(join(packageRoot, 'dist/lib'), join(copy, 'dist/lib'), { recursive: true });
    cpSync(join(packageRoot, 'package.json'), join(copy, 'package.json'));
    symlinkSync(join(packageRoot, 'node_modules'), join(copy, 'node_modules'));
  });
  afterEach(() => rmSync(copy, { recursive: true }));

  it('says that addons were forbidden', () => {
    expect(load(packageRoot, ['--no-addons'])).to.match(/^ERR_DLM_ADDON: .*--no-addons/);
  });

  it('says what the permission model lacks', () => {
    const flag = process.allowedNodeEnvironmentFlags.has('--permission')
      ? '--permission'
      : '--experimental-permission';
    const mayRead = [flag, '--allow-fs-read=*'];
    expect(load(packageRoot, mayRead)).to.match(/^ERR_DLM_ADDON: .*without --allow-addons/);
    expect(load(packageRoot, [...mayRead, '--allow-addons'])).to.equal('loaded\n');
  });

  it('says that it is not built', () => {
    expect(load(copy)).to.match(/^ERR_DLM_ADDON: .*is not built.*npm rebuild stackglue/);
  });

  it('says that it is of another version', () => {
    cpSync(join(packageRoot, 'build/Release/stackglue.node'), join(release, 'stackglue.node'));
    expect(load(copy)).to.equal('loaded\n');
    const path = join(copy, 'dist/lib/native.js');
    const text = readFileSync(path, 'utf8');
    expect(text).to.contain('nodeLeft: 2,');
    writeFileSync(path, text.replace('nodeLeft: 2,', 'nodeLeft: 3,'));
    expect(load(copy)).to.match(/^ERR_DLM_ADDON: .*another version than the package.*npm rebuild/);
  });

  it('says that it is damaged, or for another processor', () => {
    writeFileSync(join(release, 'stackglue.node'), 'not a library, but long enough for its header');
    expect(load(copy)).to.match(/^ERR_DLM_ADDON: .*another processor, or is damaged/);
  });
});
