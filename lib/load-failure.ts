/** Why the addon does not load, for people: each cause has a remedy of its own. */
import { ownTarget } from './addon-place.js';
import { DlmError } from './errors.js';

const BUILD =
  'build it for this machine: "npx stackglue-build", or "npm run build" in a checkout (it takes a C++ compiler, make and python3)';

/** What the package brings along: prebuilds/. */
const PREBUILT = ['linux-x64', 'linux-arm64', 'linuxmusl-x64', 'linuxmusl-arm64'];

const error = (text: string): DlmError => new DlmError('ERR_DLM_ADDON', text, { op: 'load' });

/** Whether Node.js runs under its permission model. */
function isRestricted(): boolean {
  return (process as { permission?: unknown }).permission !== undefined;
}

/** What is behind the message of dlopen(3), and what helps. */
const DLOPEN_CAUSES: readonly { readonly says: RegExp; readonly why: string }[] = [
  {
    says: /GLIBC|CXXABI|libstdc\+\+|libc\.so|libc\.musl|symbol not found|undefined symbol/,
    why: `it was built for another libc, or for other libraries, than this machine has; ${BUILD}`,
  },
  {
    says: /wrong ELF class|invalid ELF header|Exec format|incompatible architecture|file too short/,
    why: `it was built for another processor, or is damaged; ${BUILD}`,
  },
  {
    says: /failed to map segment|Operation not permitted/,
    why: 'the file system that it lies on does not let programs run from it (noexec)',
  },
  { says: /Permission denied/, why: 'this user may not read it' },
];

/** Why no addon was found where they lie. */
function whyNotThere(): string {
  const target = ownTarget();
  if (PREBUILT.includes(target)) {
    return `the package is here without its folder prebuilds/${target}, and it is not built; install stackglue again, or ${BUILD}`;
  }
  return `stackglue brings no binary for ${target} along (but for ${PREBUILT.join(', ')}), and it is not built, which npm, pnpm and bun do not do by themselves; ${BUILD}`;
}

function whyNotLoaded(cause: unknown): string {
  const { code, message } = cause as { code?: unknown; message?: unknown };
  const text = String(message);
  if (code === 'ERR_DLOPEN_DISABLED') {
    return isRestricted()
      ? 'Node.js runs under its permission model, without --allow-addons'
      : 'Node.js was started with --no-addons';
  }
  if (code === 'ERR_ACCESS_DENIED') {
    return "Node.js runs under its permission model, and may not read the package's folder: --allow-fs-read";
  }
  if (text.startsWith('Could not locate the bindings file')) return whyNotThere();
  if (code === 'MODULE_NOT_FOUND') return 'there is no such file';
  const known = DLOPEN_CAUSES.find(({ says }) => says.test(text));
  return known?.why ?? BUILD;
}

/** The error for an addon that is not of this package's version. */
export function otherVersionError(): DlmError {
  return error(
    `The stackglue addon is of another version than the package: install stackglue again, or ${BUILD}`,
  );
}

/** The error for every other system than Linux. */
export function platformError(platform: string): DlmError {
  return error(
    `stackglue takes locks on Linux only, and this is ${platform}: run it in a container or a virtual machine with Linux ("docker run -it node", WSL 2, Lima). Types, constants and errors are here all the same`,
  );
}

/** The error for Deno, which takes addons, but not those that use the event loop themselves. */
export function denoError(): DlmError {
  return error(
    'stackglue takes no locks under Deno, which has no libuv, by whose event loop the addon works: use Node.js. Types, constants and errors are here all the same',
  );
}

/** The error for stack `user` under Bun, which would end the process: it has the rest of libuv. */
export function bunError(): DlmError {
  return error(
    'stackglue takes no locks of the cluster under Bun, which lacks uv_poll of libuv: use Node.js. The emulations work there',
  );
}

/** The error for this package's code in somebody else's file. */
export function bundledError(): DlmError {
  return error(
    'The stackglue addon could not be found, because stackglue was bundled: mark it external ("--external:stackglue" and "--external:stackglue/*" with esbuild), or call useNativeBinding() with the path of a copy of stackglue.node, with stackglue-keeper beside it',
  );
}

/** The error for a second addon. */
export function loadedBeforeError(): DlmError {
  return error('useNativeBinding() comes too late: the stackglue addon is loaded already');
}

/** The error for what the loader has thrown, which is its cause. */
export function loadError(cause: unknown): DlmError {
  const failure = error(
    `The stackglue addon could not be loaded: ${whyNotLoaded(cause)}. (${String(cause)})`,
  );
  failure.cause = cause;
  return failure;
}
