/**
 * Where packages are looked up and had from: this host's own lists, or those of another suite of the
 * archive that the host uses, or for another processor. The host's configuration of apt is read and never
 * changed.
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
   * @param architecture Debian's name of another processor than the host's.
   * @throws {VmError} `unavailable` when the host's archive is not Debian's, does not answer, or has no
   * such suite.
   */
  static ofSuite(suite: string, folder: string, architecture?: string): Promise<PackageLists> {
    const sources = async (): Promise<Source[]> => {
      const [{ address }] = await sourcesOfHost();
      return [{ address, suite }];
    };
    return PackageLists.#kept(`the suite ${suite}`, folder, sources, architecture);
  }

  /**
   * Those of the suites that this host uses, but for another processor, kept in `folder` in the same way.
   *
   * @param architecture Debian's name of it.
   * @throws {VmError} as {@link ofSuite}.
   */
  static ofArchitecture(architecture: string, folder: string): Promise<PackageLists> {
    return PackageLists.#kept(architecture, folder, sourcesOfHost, architecture);
  }

  static async #kept(
    whose: string,
    folder: string,
    findSources: () => Promise<Source[]>,
    architecture: string | undefined,
  ): Promise<PackageLists> {
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
      ...(architecture === undefined
        ? {}
        : { 'APT::Architecture': architecture, 'APT::Architectures::': architecture }),
    };
    const options = Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
    const lists = new PackageLists(whose, options, true);
    const ready = join(folder, 'ready');
    if (existsSync(ready)) return lists;
    try {
      for (const part of ['state/lists/partial', 'cache/archives/partial']) {
        await mkdir(join(folder, part), { recursive: true });
      }
      const signed = existsSync(KEYRING) ? `[signed-by=${KEYRING}] ` : '';
      const sources = await findSources();
      const lines = sources.map(({ address, suite }) => `deb ${signed}${address} ${suite} main\n`);
      await writeFile(join(folder, 'sources.list'), lines.join(''));
      await writeFile(join(folder, 'status'), ''); // nothing is installed
      await lists.update();
      await writeFile(ready, '');
    } catch (error) {
      const message = `The packages of ${whose} cannot be had: ${messageOf(error)}`;
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

/** A suite of an archive. */
interface Source {
  readonly address: string;
  readonly suite: string;
}

/**
 * The address of the Debian archive that this host's own lists are from.
 *
 * @throws {VmError} `unavailable` when they are none of Debian's.
 */
export async function archiveOfHost(): Promise<string> {
  const [{ address }] = await sourcesOfHost();
  return address;
}

/** Those of Debian that this host's own lists are from; of the main archive first. */
async function sourcesOfHost(): Promise<[Source, ...Source[]]> {
  const format = '$(ORIGIN)|$(LABEL)|$(REPO_URI)|$(RELEASE)';
  const args = ['indextargets', '--format', format, 'Created-By: Packages'];
  const lines = (await runTool('apt-get', args)).matchAll(/^Debian\|(.*)\|(\S+)\|(\S+)$/gm);
  const found = new Map<string, Source & { isMain: boolean }>();
  for (const [line, label, address = '', suite = ''] of lines) {
    found.set(line, { address, suite, isMain: label === 'Debian' });
  }
  const [first, ...rest] = [...found.values()].sort((a, b) => Number(b.isMain) - Number(a.isMain));
  if (first?.isMain === true) return [first, ...rest];
  throw new VmError('unavailable', 'the package lists of this host are not those of Debian.');
}
