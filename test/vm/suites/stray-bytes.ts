/**
 * No byte leaves a node that its program did not mean to send. The program on node 1 has its memory
 * painted with a pattern, and its value blocks full of a secret whenever a request does not say that
 * they are to be sent. Then it makes every kind of request, the resource being kept by either node.
 * Node 2 reads the blocks, and every frame on the wire is looked at.
 */
import { expect } from 'chai';
import { constants } from 'node:os';

import type { NodeDriver } from '../../../lib/conformance/index.js';
import { DLM_LKF, DLM_LOCK } from '../../../lib/glue.js';
import type { Cluster } from '../../../scripts/vm/index.js';
import { PATTERN } from '../../guest/pattern.js';
import { dlmMessages } from '../../support/dlm-messages.js';
import { type Kernel, startAgent, TEST_TIMEOUT_MS, useCluster } from '../../support/vm-world.js';

const { NL, PR, PW, EX } = DLM_LOCK;
const { CANCEL, FORCEUNLOCK, IVVALBLK, NOQUEUE, VALBLK } = DLM_LKF;
const MODES = Object.entries(DLM_LOCK);
const LVB_LENGTH = 32;

/** What is in a value block that is to be sent, and in one that is not. */
const MEANT = 'meant for others';
const SECRET = 'V&8k!Wm2'.repeat(4);

/** As much of a repeated text as must have come by chance to be mistaken for it. */
const PIECE = 6;

/** Every piece of a text that is repeated. */
function piecesOf(text: string): Buffer[] {
  const twice = text + text;
  return Array.from(text, (_, at) => Buffer.from(twice.slice(at, at + PIECE), 'latin1'));
}

/** Which of the texts is in the frame, in part. */
function strayTextIn(frame: Uint8Array): string | undefined {
  const bytes = Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength);
  return [PATTERN, SECRET.slice(0, 8)].find((text) =>
    piecesOf(text).some((piece) => bytes.includes(piece)),
  );
}

function blockOf(text: string): Buffer {
  const block = Buffer.alloc(LVB_LENGTH);
  block.write(text, 'latin1');
  return block;
}

/** The block of the lock by which connections agree on a protocol: version 1.0. */
const VERSION = blockOf('\x01\0');

export function strayBytes(kernel: Kernel): void {
  describe(`what leaves a node with ${kernel}`, function () {
    this.timeout(TEST_TIMEOUT_MS);
    const getCluster = useCluster({ nodes: 2, membership: 'host', kernel });
    let cluster: Cluster;
    let painted: NodeDriver;
    let other: NodeDriver;
    let resources = 0;

    before(async () => {
      cluster = getCluster();
      painted = await startAgent(cluster, 1, {
        program: 'dist/test/guest/painted-agent-main.js',
      });
      other = await startAgent(cluster, 2);
      await other.connect('pcmk', 'stray');
      await painted.connect('pcmk', 'stray');
    });
    beforeEach(() => cluster.startCapture());

    /** Nothing but what was meant has been on the wire since the test began. */
    async function checkFrames(): Promise<void> {
      const frames = await cluster.endCapture();
      expect(frames.map(strayTextIn).filter((text) => text !== undefined)).to.deep.equal([]);
      const blocks = frames
        .flatMap(dlmMessages)
        .filter(({ type }) => !['request', 'lookup', 'remove'].includes(type))
        .map(({ extra }) => extra)
        .filter((extra) => extra.some((byte) => byte !== 0) && !extra.equals(VERSION));
      const texts = new Set(blocks.map((block) => block.toString('latin1')));
      // That it was there shows that it would have been seen.
      expect([...texts]).to.deep.equal([blockOf(MEANT).toString('latin1')]);
    }

    /** A scene on a new resource that each of the nodes keeps once, and what its block then is. */
    async function play(
      scene: (resource: string, lock: string) => Promise<boolean>,
    ): Promise<void> {
      for (const keeper of [painted, other]) {
        resources += 1;
        const resource = `resource-${resources}`;
        await keeper.lock(`keep-${resource}`, resource, NL);
        const isWritten = await scene(resource, `lock-${resource}`);
        const { lvb } = await other.lock(`reader-${resource}`, resource, PR, VALBLK);
        expect(lvb, `the block of ${resource}`).to.equal(isWritten ? MEANT : '');
        await other.unlock(`reader-${resource}`);
        await keeper.unlock(`keep-${resource}`);
      }
    }

    /** Flags, and the block that goes with them. */
    const both = (flags = 0): { flags: number; lvb: string }[] => [
      { flags, lvb: SECRET },
      { flags: flags | VALBLK, lvb: MEANT },
    ];

    for (const [name, mode] of MODES) {
      it(`is what it meant to send, of locks in ${name} and their unlocks`, async () => {
        for (const lockFlags of [0, VALBLK, NOQUEUE]) {
          for (const { flags, lvb } of [...both(), ...both(FORCEUNLOCK)]) {
            await play(async (resource, lock) => {
              await painted.lock(lock, resource, mode, lockFlags);
              await painted.unlock(lock, { flags, lvb });
              // Once more with the status block, which still has what was not to be sent.
              await painted.lock(lock, resource, mode, lockFlags, { again: true });
              await painted.unlock(lock, { flags, lvb });
              return mode >= PW && (flags & VALBLK) !== 0;
            });
          }
        }
        // What the mode must not write was seen on its way, or something must be.
        await play(async (resource, lock) => {
          await painted.lock(lock, resource, EX);
          await painted.unlock(lock, { flags: VALBLK, lvb: MEANT });
          return true;
        });
        await checkFrames();
      });

      it(`is what it meant to send, of conversions from ${name}`, async () => {
        for (const [, to] of MODES) {
          for (const { flags, lvb } of both()) {
            await play(async (resource, lock) => {
              await painted.lock(lock, resource, mode);
              await painted.convert(lock, to, { flags, lvb });
              await painted.unlock(lock, { lvb: SECRET });
              return mode >= PW && to <= mode && flags === VALBLK;
            });
          }
        }
        await play(async (resource, lock) => {
          await painted.lock(lock, resource, EX);
          await painted.unlock(lock, { flags: VALBLK, lvb: MEANT });
          return true;
        });
        await checkFrames();
      });
    }

    /** Node 2 holds the resource; node 1 asks in vain, in a status block full of the secret. */
    async function askInVain(
      resource: string,
      lock: string,
      flags: number,
      give: () => Promise<void>,
    ): Promise<boolean> {
      await painted.lock(lock, `${resource}-before`, EX);
      await painted.unlock(lock, { lvb: SECRET });
      await other.lock(`holder-${resource}`, resource, EX);
      expect(await painted.ask(lock, resource, EX, flags, { again: true })).to.equal(0);
      await give();
      await other.unlock(`holder-${resource}`, { flags: VALBLK, lvb: MEANT });
      return true;
    }

    it('is what it meant to send, of requests that fail or are taken back', async () => {
      for (const flags of [0, VALBLK]) {
        await play((resource, lock) =>
          askInVain(resource, lock, flags, async () => {
            expect(await painted.cancel(lock)).to.equal(0);
            expect((await painted.unlockAst(lock)).of).to.equal('cancel');
          }),
        );
        await play((resource, lock) =>
          askInVain(resource, lock, flags, () => painted.unlock(lock, { flags: FORCEUNLOCK })),
        );
        await play((resource, lock) =>
          askInVain(resource, lock, flags | NOQUEUE, async () => {
            expect((await painted.lockAst(lock)).status).to.equal(-constants.errno.EAGAIN);
          }),
        );
      }
      await checkFrames();
    });

    it('is what it meant to send, of conversions that fail or are taken back', async () => {
      for (const { flags, lvb } of both()) {
        for (const end of ['cancel', 'force', 'fail'] as const) {
          await play(async (resource, lock) => {
            await painted.lock(lock, resource, PR);
            await other.lock(`holder-${resource}`, resource, PR);
            const noqueue = end === 'fail' ? NOQUEUE : 0;
            const asked = await painted.askConvert(lock, EX, { flags: flags | noqueue, lvb });
            expect(asked).to.equal(0);
            if (end === 'fail') {
              expect((await painted.lockAst(lock)).status).to.equal(-constants.errno.EAGAIN);
              await painted.unlock(lock, { lvb: SECRET });
            } else if (end === 'force') {
              await painted.unlock(lock, { flags: FORCEUNLOCK, lvb: SECRET });
            } else {
              expect(await painted.askUnlock(lock, { flags: CANCEL, lvb: SECRET })).to.equal(0);
              expect((await painted.unlockAst(lock)).of).to.equal('cancel');
              await painted.unlock(lock, { lvb: SECRET });
            }
            await other.unlock(`holder-${resource}`);
            await other.lock(`writer-${resource}`, resource, EX);
            await other.unlock(`writer-${resource}`, { flags: VALBLK, lvb: MEANT });
            return true;
          });
        }
      }
      await checkFrames();
    });

    it('is nothing, of blocks that are declared invalid', async () => {
      for (const mode of [PW, EX] as const) {
        for (const flags of [IVVALBLK, IVVALBLK | VALBLK]) {
          await play(async (resource, lock) => {
            await painted.lock(lock, resource, mode);
            await painted.unlock(lock, { flags: VALBLK, lvb: MEANT });
            await painted.lock(lock, resource, mode, 0, { again: true });
            await painted.unlock(lock, { flags, lvb: flags === IVVALBLK ? SECRET : MEANT });
            return true;
          });
        }
      }
      await checkFrames();
    });

    it('is nothing, of locks that go with their connection', async () => {
      const second = 'second';
      for (const flags of [0, VALBLK]) {
        for (const [, mode] of MODES) {
          await play(async (resource, lock) => {
            await painted.connect('pcmk', 'stray', [1, 0], { on: second });
            await painted.lock(lock, resource, EX, 0, { on: second });
            await painted.unlock(lock, { flags: VALBLK, lvb: MEANT });
            await painted.lock(lock, resource, mode, flags, {
              on: second,
              again: true,
            });
            await painted.convert(lock, mode, { lvb: SECRET });
            await painted.disconnect(second);
            return true;
          });
        }
      }
      await checkFrames();
    });
  });
}
