/**
 * A metadata cache of a volume service: inodes are read and written in memory for as long as no other node wants them, and
 * stored before another node has them. Two nodes, and what each of them asked the store for.
 */
import { openLockspace, type CachedLock, type Lockspace } from 'stackglue';

interface Inode {
  size: number;
}

/** What all nodes share: a database, a volume. */
const disk = new Map<string, Inode>();
let reads = 0;
let writes = 0;

class MetadataCache {
  readonly #ls: Lockspace;
  readonly #inodes = new Map<
    string,
    { lock: CachedLock; inode?: Inode | undefined; isDirty: boolean }
  >();

  constructor(ls: Lockspace) {
    this.#ls = ls;
  }

  async use<Result>(
    id: string,
    mode: 'PR' | 'EX',
    work: (inode: Inode) => Result,
  ): Promise<Result> {
    const entry = this.#entry(id);
    using hold = entry.lock.tryHold(mode) ?? (await entry.lock.hold(mode, { timeoutMs: 5000 }));
    entry.inode ??= await load(id);
    if (hold.mode === 'EX') entry.isDirty = true;
    return work(entry.inode);
  }

  #entry(id: string) {
    const known = this.#inodes.get(id);
    if (known !== undefined) return known;
    const lock = this.#ls.cached(`inode/${id}`, {
      onRevoke: async (to, reason) => {
        if (entry.isDirty && entry.inode && reason !== 'lost') await store(id, entry.inode);
        entry.isDirty = false;
        if (to === 'NL') this.#inodes.delete(id); // others may change it now
      },
    });
    const entry: { lock: CachedLock; inode?: Inode | undefined; isDirty: boolean } = {
      lock,
      isDirty: false,
    };
    this.#inodes.set(id, entry);
    return entry;
  }
}

function load(id: string): Promise<Inode> {
  reads += 1;
  return Promise.resolve({ ...(disk.get(id) ?? { size: 0 }) });
}

function store(id: string, inode: Inode): Promise<void> {
  writes += 1;
  disk.set(id, { ...inode });
  return Promise.resolve();
}

const grow = (inode: Inode): number => (inode.size += 1);
const nodes = await Promise.all(
  [1, 2].map((node) => openLockspace('volume-7', { stack: 'emulated', node })),
);
const [a, b] = nodes.map((ls) => new MetadataCache(ls)) as [MetadataCache, MetadataCache];

for (let round = 0; round < 1000; round += 1) await a.use('42', 'EX', grow);
console.log(`node 1 wrote 1,000 times: ${reads} read of the store, ${writes} writes`);
const size = await b.use('42', 'PR', (inode) => inode.size);
console.log(`node 2 reads ${size}: ${reads} reads, ${writes} write`);
for (let round = 0; round < 1000; round += 1) await a.use('42', 'PR', (inode) => inode.size);
console.log(`node 1 read 1,000 times more: ${reads} reads, ${writes} write`);
await b.use('42', 'EX', grow);
for (const ls of nodes) await ls.close(); // stores what is left
console.log(`stored in the end: ${disk.get('42')?.size}, after ${writes} writes`);
