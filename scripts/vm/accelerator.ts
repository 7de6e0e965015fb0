/** KVM where it really works, emulation elsewhere. */

import { accessSync, constants } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { isForeign } from './architecture.js';
import { HANG_MS } from './deadline.js';
import { VmError } from './errors.js';
import type { Image } from './image.js';
import { withLock } from './lock.js';
import { cacheFolder } from './paths.js';
import { step, type Progress } from './progress.js';
import { Machine, type Accelerator } from './qemu.js';

const KVM_DEVICE = '/dev/kvm';

function isAccelerator(text: string): text is Accelerator {
  return text === 'kvm' || text === 'tcg';
}

/**
 * The accelerator to use: what the environment variable STACKGLUE_VM_ACCEL says, or what a guest
 * was seen to boot with. On some hosts /dev/kvm opens but no guest gets anywhere on it, so one is
 * booted to see, beside one that is emulated; the answer is kept until the host restarts. A processor that is
 * not of the host's kind can only be emulated.
 */
export async function chooseAccelerator(image: Image, progress: Progress): Promise<Accelerator> {
  if (isForeign(image.architecture)) return 'tcg';
  const chosen = process.env.STACKGLUE_VM_ACCEL;
  if (chosen) {
    if (isAccelerator(chosen)) return chosen;
    throw new VmError('usage', `STACKGLUE_VM_ACCEL is "${chosen}"; it can be kvm or tcg.`);
  }
  try {
    accessSync(KVM_DEVICE, constants.R_OK | constants.W_OK);
  } catch {
    return 'tcg';
  }
  const folder = join(cacheFolder(), 'kvm');
  await mkdir(folder, { recursive: true });
  const boot = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
  const record = join(folder, boot);
  return withLock(join(folder, 'lock'), async () => {
    const known = await readFile(record, 'utf8').catch(() => '');
    if (isAccelerator(known)) return known;
    const found = await step(progress, 'Trying KVM, once', () => probe(image, record));
    await writeFile(record, found);
    return found;
  });
}

/** KVM if a guest boots on it, and no later than one that is emulated: how fast the host is does not count. */
async function probe(image: Image, record: string): Promise<Accelerator> {
  const [onKvm, emulated] = (['kvm', 'tcg'] as const).map(
    (accelerator) =>
      new Machine({
        ...{ image, accelerator, node: 1, nodes: 1, memoryMiB: 256, cpus: 1 },
        log: `${record}.${accelerator}.log`,
      }),
  ) as [Machine, Machine];
  const works = onKvm.ready(HANG_MS).then(
    () => true,
    (error: unknown) => {
      if (error instanceof VmError) return false;
      throw error;
    },
  );
  try {
    const first = await Promise.race([
      works,
      emulated.ready(HANG_MS).then(
        () => false,
        () => works,
      ),
    ]);
    return first ? 'kvm' : 'tcg';
  } finally {
    await Promise.all([onKvm.kill(), emulated.kill()]);
  }
}
