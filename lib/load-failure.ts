/** Why the addon does not load, for people: each cause has a remedy of its own. */
import { DlmError } from './errors.js';

const REBUILD =
  'build it for this machine: "npm rebuild stackglue", or "npm run build" in a checkout';

/** Whether Node.js runs under its permission model. */
function isRestricted(): boolean {
  return (process as { permission?: unknown }).permission !== undefined;
}

/** What is behind the message of dlopen(3), and what helps. */
const DLOPEN_CAUSES: readonly { readonly says: RegExp; readonly why: string }[] = [
  {
    says: /GLIBC|CXXABI|libstdc\+\+|libc\.so|libc\.musl|symbol not found|undefined symbol/,
    why: `it was built for other libraries than this machine has; ${REBUILD}`,
  },
  {
    says: /wrong ELF class|invalid ELF header|Exec format|incompatible architecture|file too short/,
    why: `it was built for another processor, or is damaged; ${REBUILD}`,
  },
  {
    says: /failed to map segment|Operation not permitted/,
    why: 'the file system that it lies on does not let programs run from it (noexec)',
  },
  { says: /Permission denied/, why: 'this user may not read it' },
];

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
  if (text.startsWith('Could not locate the bindings file')) return `it is not built; ${REBUILD}`;
  const known = DLOPEN_CAUSES.find(({ says }) => says.test(text));
  return known?.why ?? REBUILD;
}

/** The error for an addon that is not of this package's version. */
export function otherVersionError(): DlmError {
  return new DlmError(
    'ERR_DLM_ADDON',
    `The stackglue addon is of another version than the package: ${REBUILD}`,
    { op: 'load' },
  );
}

/** The error for what the loader has thrown, which is its cause. */
export function loadError(cause: unknown): DlmError {
  const error = new DlmError(
    'ERR_DLM_ADDON',
    `The stackglue addon could not be loaded: ${whyNotLoaded(cause)}. (${String(cause)})`,
    { op: 'load' },
  );
  error.cause = cause;
  return error;
}
