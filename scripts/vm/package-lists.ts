/**
 * Where packages are looked up and had from: this host's own lists, or those of another suite of the
 * archive that the host uses. The host's configuration of apt is read and never changed.
 */

import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { VmError, messageOf } from './errors.js';
import { runTool } from './tools.js';

/** Debian's keys, where a source has to name them. */
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

/** Package lists, and the downloads that go with them. */
export class PackageLists {
  /** For messages. */
  readonly whose: string;
  readonly #options: readonly string[];
  readonly #mayUpdate: boolean;

  private constructor(whose: string, options: readonly string[], mayUpdate: boolean) {
    this.whose = whose;
    // Without root there is no other user to drop to, and with root that user cannot write here.
    this.#options = [...options, '-o', 'APT::Sandbox::User='];
    this.#mayUpdate = mayUpdate;
  }

  /** Those that this host uses itself. Only root can update them. */
  static host(): PackageLists {
    return new PackageLists('this host', [], process.getuid?.() === 0);
  }

  /**
   * Those of one other suite, such as `trixie-backports`, kept in `folder`. Got from the archive when
   * the folder has none yet.
   *
   * @throws {VmError} `unavailable` when the host's archive is not Debian's, does not answer, or has no
   * such suite.
   */
  static async ofSuite(suite: string, folder: string): Promise<PackageLists> {
    const settings: Readonly<Record<string, string>> = {
      'Dir::State': join(folder, 'state'),
      'Dir::State::status': join(folder, 'status'),
      'Dir::Cache': join(folder, 'cache'),
      'Dir::Etc::sourcelist': join(folder, 'sources.list'),
      'Dir::Etc::sourceparts': '-',
      'Dir::Etc::preferences': '-',
      'Dir::Etc::preferencesparts': '-',
      'APT::Default-Release': '',
      'Acquire::Languages': 'none',
    };
    const options = Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
    const lists = new PackageLists(`the suite ${suite}`, options, true);
    const ready = join(folder, 'ready');
    if (existsSync(ready)) return lists;
    try {
      for (const part of ['state/lists/partial', 'cache/archives/partial']) {
        await mkdir(join(folder, part), { recursive: true });
      }
      const signed = existsSync(KEYRING) ? `[signed-by=${KEYRING}] ` : '';
      const source = `deb ${signed}${await archiveOfHost()} ${suite} main\n`;
      await writeFile(join(folder, 'sources.list'), source);
      await writeFile(join(folder, 'status'), ''); // nothing is installed
      await lists.update();
      await writeFile(ready, '');
    } catch (error) {
      const message = `The packages of the suite ${suite} cannot be had: ${messageOf(error)}`;
      throw new VmError('unavailable', message, { cause: error });
    }
    return lists;
  }

  /** Whether these lists may be brought up to date by whoever runs this. */
  get mayUpdate(): boolean {
    return this.#mayUpdate;
  }

  /** Brings the lists up to date. */
  async update(): Promise<void> {
    // Without this a list that cannot be had is only a warning.
    await runTool('apt-get', [...this.#options, 'update', '-q', '--error-on=any']);
  }

  /** Whether they have a package of this name. */
  async has(name: string): Promise<boolean> {
    const names = await runTool('apt-cache', [...this.#options, 'pkgnames', name]);
    return names.split('\n').includes(name);
  }

  /** The packages that these depend on directly; of alternatives, the first. */
  async dependencies(names: readonly string[]): Promise<string[]> {
    const args = [...this.#options, 'depends', '--important', ...names];
    const found: string[] = [];
    let alternative = false;
    for (const line of (await runTool('apt-cache', args)).split('\n')) {
      const match = /^ (.)(?:Pre)?Depends: (?:<.*>|(\S+))$/.exec(line);
      if (!match) continue;
      if (match[2] !== undefined && !alternative) found.push(match[2].replace(/:.*/, ''));
      alternative = match[1] === '|';
    }
    return found;
  }

  /** Puts the packages' archives into a folder. */
  async download(names: readonly string[], folder: string): Promise<void> {
    const args = [...this.#options, 'download', '-q', ...names];
    try {
      await runTool('apt-get', args, { cwd: folder });
    } catch (error) {
      // Lists that are older than the archive name versions that it no longer has.
      if (!this.#mayUpdate) throw error;
      await this.update();
      await runTool('apt-get', args, { cwd: folder });
    }
  }
}

/** The address of the Debian archive that this host's own lists are from. */
async function archiveOfHost(): Promise<string> {
  const format = '$(ORIGIN)|$(LABEL)|$(REPO_URI)';
  const text = await runTool('apt-get', [
    'indextargets',
    '--format',
    format,
    'Created-By: Packages',
  ]);
  const address = /^Debian\|Debian\|(\S+)$/m.exec(text)?.[1];
  if (address !== undefined) return address;
  throw new VmError('unavailable', 'the package lists of this host are not those of Debian.');
}
