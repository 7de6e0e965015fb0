/** What names lockspaces and locks of stack `user` can have: the same on the kernel's DLM and emulated. */
import { expect } from 'chai';
import { constants } from 'node:os';

import { DLM_LKF, DLM_LOCK, DlmError, DlmLksb } from '../../lib/glue.js';
import { UserClient } from '../support/user-client.js';

const { EX, PR } = DLM_LOCK;
const { NOQUEUE, ORPHAN } = DLM_LKF;
const { EAGAIN, EINVAL } = constants.errno;

const REFUSED: readonly (readonly [group: string, reason: RegExp])[] = [
  ['', /no character/],
  ['.', /directory/],
  ['..', /directory/],
  ['plock', /dlm_plock/],
  // devtmpfs makes a folder of what udev and the kernel have as one name.
  ...['a/b', 'a!b', '!'].map((group) => [group, /cannot keep "[/!]"/] as const),
  // udev has a "_" for each of these.
  ...Array.from('%,~()[]{}<>$&;*?^|"\'`\\').map((c) => [`a${c}b`, /cannot keep/] as const),
  ...[' ', '\t', '\n', '\u00a0', '\u2028', '\u3000'].map((c) => [`a${c}b`, /cannot keep/] as const),
  ...['\0', '\u0001', '\u007f', '\u0080', '\ufdd0', '\uffff', '\u{1ffff}'].map(
    (c) => [`a${c}b`, /cannot keep/] as const,
  ),
  ['\ud800', /lone surrogate/],
  ['a\udc00b', /lone surrogate/],
];

const TAKEN = [
  '...',
  '.hidden',
  '-rf',
  'a#+-.:=@_9Z',
  'Sperre-ä-鎖-😀',
  'control',
  'monitor',
  'plocks',
];

/** For titles: what cannot be seen is escaped, and what is long is cut. */
function show(name: string): string {
  const escaped = JSON.stringify(name).replace(
    /\p{C}|[\u00a0\u2028\u3000]/gu,
    (c) => `\\u{${c.codePointAt(0)?.toString(16)}}`,
  );
  return escaped.length > 20 ? `${escaped.slice(0, 20)}…` : escaped;
}

describe("a lockspace's name", () => {
  for (const [group, reason] of REFUSED) {
    it(`cannot be ${show(group)}, and the error says why`, async () => {
      const client = new UserClient();
      const error = await client.connect(group).then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      expect(error).to.be.an.instanceOf(DlmError);
      expect(error).to.include({ code: 'ERR_DLM_GROUP_NAME', errno: EINVAL, resource: group });
      expect((error as DlmError).message).to.match(reason);
    });
  }

  for (const group of TAKEN) {
    it(`can be ${show(group)}`, async () => {
      const client = new UserClient();
      await client.connect(group);
      expect(client.connection.name).to.equal(group);
      await client.unlock(await client.lock('r'));
      await client.disconnect();
    });
  }
});

describe("a lock's name", () => {
  const [client, other] = [new UserClient(), new UserClient()];
  before(async () => {
    await client.connect('names');
    await other.connect('names');
  });
  after(async () => {
    await client.disconnect();
    await other.disconnect();
  });

  const request = (name: string | Uint8Array, flags = 0, mode: 0 | 3 | 5 = EX): number =>
    client.glue.dlmLock(client.connection, mode, new DlmLksb(), flags, name);

  it("cannot be that of the connections' own lock, which nobody would ever give up", () => {
    for (const name of [
      'version_lock',
      Buffer.from('version_lock'),
      new TextEncoder().encode('version_lock'),
    ]) {
      for (const flags of [0, NOQUEUE, ORPHAN]) {
        for (const mode of [DLM_LOCK.NL, PR, EX] as const) {
          expect(request(name, flags, mode)).to.equal(-EINVAL);
        }
      }
    }
  });

  it('cannot have half a surrogate pair, for which UTF-8 has no bytes', () => {
    for (const name of ['\ud800', '\udfff', 'a\ud800', '\udc00\ud800', '\ud800a']) {
      expect(request(name)).to.equal(-EINVAL);
    }
  });

  it('cannot have more than 64 bytes', () => {
    expect(request('x'.repeat(65))).to.equal(-EINVAL);
    expect(request('ä'.repeat(33))).to.equal(-EINVAL);
  });

  for (const [one, another] of [
    ['version_lock', 'version_lock2'],
    ['a', 'A'],
    // Not "a" and "a\0", which may be one to the kernel (native/KERNELS.md).
    ['a\0b', 'a\0c'],
    ['\u00e9', 'e\u0301'],
    ['\ufffd', '?'],
    ['😀', '😁'],
    ['x'.repeat(64), 'x'.repeat(63)],
    ['ä'.repeat(32), 'ä'.repeat(31)],
  ] as const) {
    it(`${show(one)} is not ${show(another)}, of ${one.length} and ${another.length} characters`, async () => {
      const first = one === 'version_lock' ? undefined : await client.lock(one);
      const second = await other.lock(another, EX, NOQUEUE);
      if (first !== undefined) {
        const same = other.ask(one, EX, NOQUEUE);
        expect(await same.completed).to.equal(-EAGAIN);
        await client.unlock(first);
      }
      await other.unlock(second);
    });
  }
});
