/**
 * The benchmarks of stack `user`. README.md says what is compared with what, and why.
 *
 * Contestants take turns, A B A B, so that whatever else the host does falls on all of them; the
 * programs stay, and each works before it is measured for the first time.
 */
import { cpus } from 'node:os';

import { Cluster, step, type GuestNode, type Progress } from '../vm/index.js';
import {
  buildReference,
  Contestant,
  WORK_NAMES,
  type Memory,
  type Mode,
  type Work,
} from './contestant.js';
import { buildCrowdReference, chooseCrowds, runCrowds } from './crowd.js';
import { buildHandOverReference, isHandOverChosen, runHandOvers } from './hand-over.js';
import { makeRow, type Machine, type Row, type Target } from './result.js';
import { takeTurns } from './turns.js';

/** What is measured, and how much of it. */
export interface BenchOptions {
  /** Benchmarks whose names do not match are left out. */
  readonly only: RegExp;
  /** How often each contestant is measured. */
  readonly rounds: number;
  /** How long each time. */
  readonly seconds: number;
  readonly modes: readonly Mode[];
  /** The local benchmarks are run with each of these numbers of virtual processors. */
  readonly vcpus: readonly number[];
  /** How many locks are held where many are. */
  readonly locks: number;
  /** See `ImageOptions.kernel`. */
  readonly kernel?: string | undefined;
  readonly progress: Progress;
  /** Is given each row as soon as it has been measured. */
  readonly report: (row: Row) => void;
}

interface Workload {
  readonly work: Work;
  readonly depth: number;
  /** One for all modes, or for some. */
  readonly targets?: Partial<Record<Mode, Target>>;
}

const SAME = (target: Target): Record<Mode, Target> => ({
  thread: target,
  loop: target,
  keeper: target,
});

const LOCAL: readonly Workload[] = [
  {
    work: 'lock',
    depth: 1,
    targets: { thread: { atLeast: 0.5 }, loop: { atLeast: 0.8 } },
  },
  { work: 'lock', depth: 64, targets: SAME({ atLeast: 0.8 }) },
  { work: 'lock', depth: 1024 },
  { work: 'convert', depth: 1 },
  { work: 'convert', depth: 64 },
];

const REMOTE: readonly Workload[] = [
  { work: 'lock', depth: 1 },
  { work: 'lock', depth: 64, targets: SAME({ atLeast: 0.95 }) },
];

const LOCKSPACE = 'bench';

/** What the few hold where others hold many, and the depth at which both are measured. */
export const FEW_LOCKS = 100;
const HOLDING_DEPTH = 64;
const BYTES_PER_LOCK = 1024;
/** For the kernel's own part of so many locks, and for Node.js. */
const MEMORY_MIB = 1024;

/** Whether any that was chosen needs virtual machines. */
export function needsClusters(options: Pick<BenchOptions, 'only' | 'vcpus' | 'locks'>): boolean {
  return (
    options.vcpus.some((vcpus) => chooseLocal(vcpus, options).length > 0) ||
    chooseRemote(options).length > 0 ||
    chooseCrowds(options).length > 0 ||
    isHandOverChosen(options) ||
    Object.values(holdingNames(options)).some((name) => options.only.test(name))
  );
}

/** Runs the benchmarks that were chosen. */
export async function runBenchmarks(options: BenchOptions): Promise<void> {
  buildReference();
  buildCrowdReference();
  buildHandOverReference();
  for (const vcpus of options.vcpus) await runLocal(options, vcpus);
  await runRemote(options);
  await runGivingUp(options);
  await runCachedOnNodes(options);
  await runHolding(options);
}

/** Locks whose resources this node masters: one node, so there is nobody else. */
async function runLocal(options: BenchOptions, vcpus: number): Promise<void> {
  const chosen = chooseLocal(vcpus, options);
  if (chosen.length === 0) return;
  await withCluster(options, { nodes: 1, vcpus }, async (cluster, machine) => {
    await runWorkloads(cluster.node(1), chosen, 'local-', machine, options);
  });
}

/** Locks whose resources another node masters, for it has locks on them first and keeps them. */
async function runRemote(options: BenchOptions): Promise<void> {
  const chosen = chooseRemote(options);
  if (chosen.length === 0) return;
  await withCluster(options, { nodes: 2, vcpus: 1 }, async (cluster, machine) => {
    const master = await Contestant.c(cluster.node(2), LOCKSPACE);
    await master.hold('remote-', Math.max(...chosen.map(({ depth }) => depth)));
    await runWorkloads(cluster.node(1), chosen, 'remote-', machine, options);
  });
}

/** Crowds of waiters that give up; another node has what they wait for. */
async function runGivingUp(options: BenchOptions): Promise<void> {
  const chosen = chooseCrowds(options);
  if (chosen.length === 0) return;
  await withCluster(options, { nodes: 2, vcpus: 1 }, async (cluster, machine) => {
    await runCrowds(cluster.node(1), cluster.node(2), chosen, machine, options);
  });
}

/** Cached locks that two nodes want. */
async function runCachedOnNodes(options: BenchOptions): Promise<void> {
  if (!isHandOverChosen(options)) return;
  await withCluster(options, { nodes: 2, vcpus: 1 }, async (cluster, machine) => {
    await runHandOvers([cluster.node(1), cluster.node(2)], machine, options);
  });
}

type NamedWorkload = Workload & { readonly name: string };

type Choice = Pick<BenchOptions, 'only'>;

const chooseLocal = (vcpus: number, options: Choice): NamedWorkload[] =>
  choose(LOCAL, `local, ${vcpus} vCPU`, options);

const chooseRemote = (options: Choice): NamedWorkload[] => choose(REMOTE, 'remote', options);

function choose(workloads: readonly Workload[], where: string, options: Choice): NamedWorkload[] {
  return workloads
    .map((each) => ({ ...each, name: `${WORK_NAMES[each.work]}, ${where}, depth ${each.depth}` }))
    .filter(({ name }) => options.only.test(name));
}

async function runWorkloads(
  node: GuestNode,
  workloads: readonly NamedWorkload[],
  prefix: string,
  machine: Machine,
  options: BenchOptions,
): Promise<void> {
  const { modes, seconds, progress, report } = options;
  const c = await Contestant.c(node, LOCKSPACE);
  const tight = await Contestant.c(node, LOCKSPACE, 'callback');
  const ours: Contestant[] = [];
  for (const mode of modes) ours.push(await Contestant.javascript(node, LOCKSPACE, mode));

  for (const { name, work, depth, targets } of workloads) {
    const contestants = [c, tight, ...ours].map(
      (each) => () => each.rate(work, prefix, depth, seconds),
    );
    const [references = [], tightRates = [], ...rates] = await step(progress, name, () =>
      takeTurns(contestants, options.rounds),
    );
    report(
      makeRow({
        name: `${name}, C in the callback`,
        unit: '1/s',
        rates: tightRates,
        references,
        target: undefined,
        machine,
      }),
    );
    modes.forEach((mode, index) => {
      report(
        makeRow({
          name: `${name}, ${mode}`,
          unit: '1/s',
          rates: rates[index] ?? [],
          references,
          target: targets?.[mode],
          machine,
        }),
      );
    });
  }
}

function holdingNames({ locks }: Pick<BenchOptions, 'locks'>): {
  memoryName: string;
  rateName: string;
} {
  const held = `${locks.toLocaleString('en-US')} locks held`;
  return {
    memoryName: `memory, ${held}`,
    rateName: `lock+unlock, ${held}, depth ${HOLDING_DEPTH}`,
  };
}

/** Many locks that are held: the memory that they take, and how they weigh on others. */
async function runHolding(options: BenchOptions): Promise<void> {
  const { locks, modes, rounds, seconds, progress, report } = options;
  const { memoryName, rateName } = holdingNames(options);
  const isMemoryChosen = options.only.test(memoryName);
  const isRateChosen = options.only.test(rateName);
  if (!isMemoryChosen && !isRateChosen) return;

  const work = (contestant: Contestant): Promise<number> =>
    contestant.rate('lock', 'free-', HOLDING_DEPTH, seconds);

  await withCluster(options, { nodes: 1, vcpus: 1 }, async (cluster, machine) => {
    const node = cluster.node(1);
    // C has no target: it shows what the kernel's part of the difference is.
    for (const name of isRateChosen ? (['C', ...modes] as const) : modes) {
      // Each in a lockspace of its own, for the kernel has one table of resources for each.
      const start = (lockspace: string): Promise<Contestant> =>
        name === 'C' ? Contestant.c(node, lockspace) : Contestant.javascript(node, lockspace, name);
      const pair = [await start('many'), await start('few')] as const;
      const [many, few] = pair;
      // Both have the same past, and heaps of the size that they have at work.
      for (const each of pair) await work(each);
      for (const each of pair) await each.hold('held-', FEW_LOCKS);

      const takeMany = (): Promise<void> => many.hold('held-', locks);
      if (name === 'C') {
        await takeMany();
      } else {
        const before = await many.memory();
        await few.memory();
        await step(progress, `${memoryName}, ${name}`, takeMany);
        const after = await many.memory();
        if (isMemoryChosen) memoryRows(memoryName, name, before, after).forEach(report);
      }
      if (isRateChosen) {
        const [rates = [], references = []] = await step(progress, `${rateName}, ${name}`, () =>
          takeTurns(
            pair.map((each) => () => work(each)),
            rounds,
          ),
        );
        const target = name === 'C' ? undefined : { atLeast: 0.8 };
        const row = { name: `${rateName}, ${name}`, unit: '1/s', rates, references, target };
        report(makeRow({ ...row, machine }));
      }
      for (const each of pair) await each.end();
    }

    function memoryRows(name: string, mode: Mode, before: Memory, after: Memory): Row[] {
      const row = { unit: 'byte/lock', references: [BYTES_PER_LOCK], machine };
      const perLock = (bytes: number): number[] => [bytes / (locks - FEW_LOCKS)];
      return [
        makeRow({
          ...row,
          name: `${name}, process, ${mode}`,
          rates: perLock(after.rss - before.rss),
          target: { atMost: 1 },
        }),
        makeRow({
          ...row,
          name: `${name}, of it V8's heap, ${mode}`,
          rates: perLock(after.heap - before.heap),
        }),
      ];
    }
  });
}

/** Boots a cluster for some benchmarks and closes it after them. */
async function withCluster(
  options: BenchOptions,
  size: { nodes: number; vcpus: number },
  measure: (cluster: Cluster, machine: Machine) => Promise<void>,
): Promise<void> {
  const cluster = await Cluster.boot({
    nodes: size.nodes,
    cpus: size.vcpus,
    membership: 'host',
    memoryMiB: MEMORY_MIB,
    kernel: options.kernel,
    progress: options.progress,
  });
  try {
    const { stdout } = await cluster.node(1).exec('uname -r; grep -c ^processor /proc/cpuinfo');
    const [kernel = '', vcpus] = stdout.split('\n');
    const processors = cpus();
    await measure(cluster, {
      cpu: processors[0]?.model.trim() ?? 'unknown',
      cores: processors.length,
      accelerator: cluster.accelerator,
      kernel,
      vcpus: Number(vcpus),
      nodes: size.nodes,
      node: process.version,
    });
  } finally {
    await cluster.close();
  }
}
