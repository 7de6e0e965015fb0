/** The rows that a run makes, and how they are printed. */

/** Where a row was measured. */
export interface Machine {
  /** The host. */
  readonly cpu: string;
  readonly cores: number;
  readonly accelerator: string;
  /**
   * The guests: their kernel's release, their virtual processors, their number, their Node.js.
   * Without guests, of the host: its kernel's release, and the processors that were used.
   */
  readonly kernel: string;
  readonly vcpus: number;
  readonly nodes: number;
  readonly node: string;
}

/** What the ratio has to be; `by`: that of processor time, where it was taken. */
export type Target = ({ readonly atLeast: number } | { readonly atMost: number }) & {
  readonly by?: 'cpu';
};

interface Compared {
  /** Medians. */
  readonly rate: number;
  readonly reference: number;
  /** Of the medians. */
  readonly ratio: number;
  /** The ratio of each round, where each has both. */
  readonly ratios?: readonly number[];
}

/** One comparison. */
export interface Row extends Compared {
  readonly name: string;
  readonly unit: string;
  /** What the medians are of. */
  readonly rates: readonly number[];
  readonly references: readonly number[];
  /** The same for each second of processor time, where it was taken: it leaves out who else ran. */
  readonly cpu?: Compared;
  /** System calls for each operation, where they were counted. */
  readonly calls?: { readonly ours: Calls; readonly reference: Calls } | undefined;
  readonly target?: Target | undefined;
  readonly machine: Machine;
}

/** How many calls of each name. */
export type Calls = Readonly<Record<string, number>>;

/** The middle of the values; of an even number, the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)] ?? NaN;
  const lower = sorted[Math.ceil(sorted.length / 2) - 1] ?? NaN;
  return (lower + upper) / 2;
}

type Measured = Pick<
  Row,
  'name' | 'unit' | 'rates' | 'references' | 'calls' | 'target' | 'machine'
> & {
  /** For each second of processor time. */
  readonly cpuRates?: readonly number[];
  readonly cpuReferences?: readonly number[];
};

function compare(rates: readonly number[], references: readonly number[]): Compared {
  const rate = median(rates);
  const reference = median(references);
  return {
    rate,
    reference,
    ratio: rate / reference,
    ...(rates.length === references.length && {
      ratios: rates.map((each, round) => each / (references[round] ?? NaN)),
    }),
  };
}

/** A row from what was measured. */
export function makeRow({ cpuRates, cpuReferences, ...row }: Measured): Row {
  return {
    ...row,
    ...compare(row.rates, row.references),
    ...(cpuRates && cpuReferences && { cpu: compare(cpuRates, cpuReferences) }),
  };
}

/** Whether the row's target is met; undefined when it has none. */
export function isMet({ target, cpu, ...row }: Row): boolean | undefined {
  if (target === undefined) return undefined;
  const { ratio } = target.by === 'cpu' ? (cpu ?? row) : row;
  return 'atLeast' in target ? ratio >= target.atLeast : ratio <= target.atMost;
}

function describeMachine({ cpu, cores, accelerator, kernel, vcpus, nodes, node }: Machine): string {
  if (nodes === 0) return `This host: ${cores} × ${cpu}, Linux ${kernel}, Node.js ${node}`;
  const guests = `${nodes} ${nodes === 1 ? 'node' : 'nodes'} with ${vcpus} vCPU`;
  return `${guests}, Linux ${kernel}, ${accelerator}, Node.js ${node}; host: ${cores} × ${cpu}`;
}

const count = (value: number): string => Math.round(value).toLocaleString('en-US');

function withSpread(middle: number, values: readonly number[]): string {
  if (values.length < 2) return count(middle);
  return `${count(middle)} (${count(Math.min(...values))}\u2013${count(Math.max(...values))})`;
}

function describeTarget(row: Row): string {
  const { target } = row;
  if (target === undefined) return '';
  const sign = 'atLeast' in target ? `\u2265 ${target.atLeast}` : `\u2264 ${target.atMost}`;
  const by = target.by === 'cpu' && row.cpu !== undefined ? ' by CPU time' : '';
  return `${sign}${by} ${isMet(row) === true ? 'met' : 'MISSED'}`;
}

/** The column's heading, whether it holds text, and what a row has there. Empty columns are left out. */
const COLUMNS: readonly (readonly [string, 'text' | 'number', (row: Row) => string])[] = [
  ['', 'text', ({ name }) => name],
  ['median (spread)', 'number', ({ rate, rates }) => withSpread(rate, rates)],
  ['compared with', 'number', ({ reference, references }) => withSpread(reference, references)],
  ['unit', 'text', ({ unit }) => unit],
  ['ratio', 'number', ({ ratio }) => ratio.toFixed(2)],
  ['by CPU time', 'number', ({ cpu }) => cpu?.ratio.toFixed(2) ?? ''],
  ['system calls', 'number', ({ calls }) => describeCalls(calls)],
  ['target', 'text', describeTarget],
];

/** All calls for one operation. */
export function totalCalls(calls: Calls): number {
  return Object.values(calls).reduce((sum, each) => sum + each, 0);
}

function describeCalls(calls: Row['calls']): string {
  if (calls === undefined) return '';
  const [ours, reference] = [calls.ours, calls.reference].map((each) =>
    totalCalls(each).toFixed(1),
  );
  return `${ours} (${reference})`;
}

/** The rows as tables in Markdown, one for each machine. */
export function formatRows(rows: readonly Row[]): string {
  const machines = [...new Set(rows.map(({ machine }) => describeMachine(machine)))];
  return machines
    .map((machine) => {
      const its = rows.filter((row) => describeMachine(row.machine) === machine);
      const columns = COLUMNS.filter(([, , cell]) => its.some((row) => cell(row) !== ''));
      const headings = columns.map(([heading]) => heading);
      const lines = its.map((row) => columns.map(([, , cell]) => cell(row)));
      const isText = (column: number): boolean => columns[column]?.[1] === 'text';
      return `${machine}\n\n${formatTable([headings, ...lines], isText)}`;
    })
    .join('\n');
}

/** A table in Markdown; its first line are the headings. */
function formatTable(
  lines: readonly (readonly string[])[],
  isText: (column: number) => boolean,
): string {
  const [headings = [], ...body] = lines;
  const widths = headings.map((_, column) =>
    Math.max(...lines.map((line) => line[column]?.length ?? 0), 3),
  );
  const format = (line: readonly string[]): string =>
    `| ${line.map((cell, at) => pad(cell, widths[at] ?? 0, isText(at))).join(' | ')} |\n`;
  const rule = widths.map((width, at) =>
    isText(at) ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`,
  );
  return [headings, rule, ...body].map(format).join('');
}

function pad(cell: string, width: number, isText: boolean): string {
  return isText ? cell.padEnd(width) : cell.padStart(width);
}
