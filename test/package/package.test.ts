/** The package as its users get at it: by name, from modules and from CommonJS, with its types. */
import { expect } from 'chai';
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import * as lib from '../../lib/glue.js';
import * as shared from '../../lib/index.js';
import * as recipes from '../../lib/recipes/index.js';
import * as web from '../../lib/web-locks/index.js';

const packageRoot = fileURLToPath(new URL('../../..', import.meta.url));

/** All that `stackglue` exports at run time: a change here is a change of the public interface. */
const SHARED_EXPORTS = [
  'CLUSTER_NAME_MAX',
  'DLM_ERRNO',
  'DLM_LKF',
  'DLM_LOCK',
  'DLM_SBF',
  'DlmError',
  'GROUP_NAME_MAX',
  'STACK_LABEL_LEN',
  'dlmStatusName',
  'openLockspace',
  'useNativeBinding',
];
/** The same of `stackglue/glue`. */
const EXPORTS = [
  'CLUSTER_NAME_MAX',
  'ClusterConnection',
  'DLM_ERRNO',
  'DLM_LKF',
  'DLM_LOCK',
  'DLM_SBF',
  'DlmError',
  'DlmLksb',
  'GROUP_NAME_MAX',
  'STACK_LABEL_LEN',
  'StackGlue',
  'clusterConnect',
  'clusterConnectAgnostic',
  'clusterDisconnect',
  'clusterHangup',
  'clusterMembers',
  'clusterMembership',
  'clusterThisNode',
  'createEmulatedUserPlugin',
  'createO2cbPlugin',
  'createUserPlugin',
  'defaultGlue',
  'dlmDeadlockCancel',
  'dlmDumpLksb',
  'dlmLock',
  'dlmLockFlags',
  'dlmLockMode',
  'dlmLockStatus',
  'dlmLvb',
  'dlmLvbValid',
  'dlmOwnPid',
  'dlmPurge',
  'dlmStatusName',
  'dlmUnlock',
  'dlmVersions',
  'killEmulatedUserNode',
  'killO2cbNode',
  'o2cbPlugin',
  'plock',
  'realClock',
  'setLockingProtocol',
  'setMaxProtoVersion',
  'stackConnectionOf',
  'useNativeBinding',
  'userPlugin',
];

const CONSUMER = `
import {
  clusterConnect, clusterDisconnect, DLM_LKF, DLM_LOCK, DlmError, DlmLksb, dlmLock, dlmUnlock,
  setLockingProtocol,
  type ClusterConnection, type ConnectOptions, type DlmErrorCode, type DlmErrorDetails, type LockMode,
  type LockingProtocol, type O2cbOptions, type PluginLoader, type ProtocolVersion, type RecoveryHandler,
  type StackFeatures, type StackOperations, type StackPlugin, type StackScope, type StackUpcalls, type UserStackOptions,
} from 'stackglue/glue';
import {
  DlmError as SharedError, openLockspace,
  type BlockedHandler, type Health, type Lock, type LockSet, type Lockspace, type LockspaceOptions, type Mode,
  type StackChoice, type WaitOptions,
} from 'stackglue';
import { localNode, stackConformance } from 'stackglue/conformance';
import { elect, type ElectOptions, type Term } from 'stackglue/recipes';
import { explore, replay, Simulation, SimulationError } from 'stackglue/simulator';
import { webLocks, type WebLock, type WebLockManager } from 'stackglue/web-locks';

const protocol: LockingProtocol = {
  maxVersion: { major: 1, minor: 0 },
  lockAst: (astarg: unknown) => void astarg,
  blockingAst: (astarg: unknown, level: LockMode) => void [astarg, level],
  unlockAst: (astarg: unknown, error: number) => void [astarg, error],
};
setLockingProtocol(protocol);
const connection: ClusterConnection = await clusterConnect({ group: 'g', recoveryHandler: () => {} });
const result: number = dlmLock(connection, DLM_LOCK.EX, new DlmLksb(), DLM_LKF.VALBLK, 'name');
// @ts-expect-error -- 6 is no mode
dlmLock(connection, 6, new DlmLksb(), 0, 'name');
interface Request { readonly name: string; granted(): void }
const typed: LockingProtocol<Request> = {
  maxVersion: { major: 1, minor: 0 },
  lockAst: (request) => request.granted(),
  blockingAst: ({ name }, level) => void [name, level],
  unlockAst: ({ name }, error) => void [name, error],
};
const own = await clusterConnect({ group: 'g', protocol: typed, recoveryHandler: () => {} });
const request: Request = { name: 'name', granted: () => {} };
dlmLock(own, DLM_LOCK.EX, new DlmLksb(), 0, 'name', request);
dlmUnlock(own, new DlmLksb(), 0);
// @ts-expect-error -- its handlers take a Request
dlmLock(own, DLM_LOCK.EX, new DlmLksb(), 0, 'name', 'something else');
// @ts-expect-error -- its handlers take a Request, and would be given the lksb
dlmLock(own, DLM_LOCK.EX, new DlmLksb(), 0, 'name');
// @ts-expect-error -- a handler that takes something else
void ({ ...typed, lockAst: (astarg: number) => void astarg } satisfies LockingProtocol<Request>);
const plain: LockingProtocol<DlmLksb> = { ...protocol, lockAst: (lksb) => void lksb };
const other = await clusterConnect({ group: 'g', protocol: plain, recoveryHandler: () => {} });
dlmLock(other, DLM_LOCK.EX, new DlmLksb(), 0, 'name');
// @ts-expect-error -- what a connection tells is read
other.version = { major: 1, minor: 1 };
// @ts-expect-error -- a group is needed
await clusterConnect({ recoveryHandler: () => {} });
await clusterDisconnect(connection).catch((error: unknown) => {
  if (error instanceof DlmError) { const code: DlmErrorCode = error.code; void code; }
});
export type All = [ConnectOptions, DlmErrorDetails, O2cbOptions, PluginLoader, ProtocolVersion,
  RecoveryHandler, StackFeatures, StackOperations, StackPlugin, StackScope, StackUpcalls, UserStackOptions];
const simulation: Simulation = new Simulation({ seed: 1 });
simulation.close();
async function locks(): Promise<void> {
  const ls: Lockspace = await openLockspace('volume-7', { stack: 'emulated' });
  const lock: Lock = await ls.lock('inode/42', 'EX', { timeoutMs: 2000 });
  // @ts-expect-error -- no such mode
  await ls.lock('inode/42', 'XX');
  // @ts-expect-error -- a stack is needed
  await openLockspace('volume-7', {});
  const size: number = await ls.using('inode/42', 'PR', async (held, signal) => (signal.aborted ? 0 : held.name.length));
  const busy: Lock | null = await ls.tryLock('inode/42', 'PR');
  const set: LockSet = await ls.lockAll(['a', 'b'], 'EX');
  ls.on('health', (health: Health) => void health.state);
  const locks: WebLockManager = webLocks(ls);
  const length: number = await locks.request('name', async (held: WebLock | null) => held?.name.length ?? 0);
  const options: ElectOptions = {};
  for await (const term of elect(ls, 'leader', options)) { const its: Term = term; void its.token; break; }
  void [size, busy, set, lock, length];
}
export type Locks = [BlockedHandler, LockspaceOptions, Mode, StackChoice, WaitOptions];
void [locks, result, SharedError, localNode, stackConformance, explore, replay, SimulationError];
`;

describe('package', () => {
  it('exports what is documented, and no more', () => {
    expect(Object.keys(lib).sort()).to.deep.equal(EXPORTS);
    expect(Object.keys(shared).sort()).to.deep.equal(SHARED_EXPORTS);
    expect(Object.keys(web)).to.deep.equal(['webLocks']);
    expect(Object.keys(recipes)).to.deep.equal(['elect']);
    const { openLockspace, ...both } = shared;
    expect(openLockspace).to.be.a('function');
    expect(lib).to.include(both);
  });

  it('is the same instance by import, by its name and by require', async function () {
    const name = 'stackglue/glue';
    const imported = (await import(name)) as typeof lib;
    expect(imported.defaultGlue).to.equal(lib.defaultGlue);
    const { features } = process as unknown as { features: { require_module?: boolean } };
    if (features.require_module !== true) {
      console.log('      skipped: this Node.js has no require() of modules');
      this.skip();
    }
    const required = createRequire(import.meta.url)(name) as typeof lib;
    expect(required.defaultGlue).to.equal(lib.defaultGlue);
    expect(
      Object.keys(required)
        .filter((key) => key !== '__esModule')
        .sort(),
    ).to.deep.equal(EXPORTS);
  });

  it('shows its package.json and nothing else of its inside', () => {
    const require = createRequire(import.meta.url);
    expect(require('stackglue/package.json')).to.include({ name: 'stackglue' });
    for (const inside of ['stackglue/dist/lib/native.js', 'stackglue/lib/glue.js']) {
      expect(() => require.resolve(inside))
        .to.throw()
        .with.property('code', 'ERR_PACKAGE_PATH_NOT_EXPORTED');
    }
  });

  it('names files that are there', () => {
    const manifest = JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8')) as {
      main: string;
      types: string;
      files: string[];
      exports: Record<string, string | Record<string, string>>;
    };
    const { main, types, files, exports } = manifest;
    const exported = Object.values(exports).flatMap((each) =>
      typeof each === 'string' ? each : Object.values(each),
    );
    // Those are not built for a test: packed.test.ts has some.
    const built = files.filter((path) => path !== 'prebuilds');
    for (const path of [main, types, ...built, ...exported]) {
      expect(existsSync(join(packageRoot, path)), path).to.equal(true);
    }
  });

  it('has default glue with both stacks and no version', () => {
    expect(lib.defaultGlue.loadedClusterPlugins).to.deep.equal(['user', 'o2cb']);
    expect(lib.defaultGlue.clusterStack).to.equal('o2cb');
  });

  for (const [what, options] of Object.entries({
    'node16 modules': { module: 'node16', moduleResolution: 'node16' },
    'a bundler': { module: 'esnext', moduleResolution: 'bundler' },
  })) {
    it(`has types that a consumer's compiler finds: ${what}`, () => {
      const consumer = mkdtempSync(join(tmpdir(), 'stackglue-consumer-'));
      try {
        mkdirSync(join(consumer, 'node_modules'));
        symlinkSync(packageRoot, join(consumer, 'node_modules/stackglue'));
        writeFileSync(join(consumer, 'package.json'), '{ "type": "module" }');
        writeFileSync(join(consumer, 'main.ts'), CONSUMER);
        writeFileSync(
          join(consumer, 'tsconfig.json'),
          JSON.stringify({
            compilerOptions: {
              ...options,
              target: 'es2022',
              strict: true,
              noEmit: true,
              types: [],
              // The declarations are checked too: a consumer may not skip them.
              skipLibCheck: false,
            },
          }),
        );
        const tsc = join(packageRoot, 'node_modules/typescript/bin/tsc');
        const { status, stdout } = spawnSync(process.execPath, [tsc, '-p', consumer], {
          encoding: 'utf8',
        });
        expect(status, stdout).to.equal(0);
      } finally {
        rmSync(consumer, { recursive: true });
      }
    });
  }
});
