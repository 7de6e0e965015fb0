/** The rows that a run makes, and how they are printed. */

/** Where a row was measured. */
export interface Machine {
  /** The host. */
  readonly cpu: string;
  readonly cores: number;
  readonly accelerator: string;
  /** The guests: their kernel's release, their virtual processors, their number, their Node.js. */
  readonly kernel: string;
  readonly vcpus: number;
  readonly nodes: number;
  readonly node: string;
}

/** What the ratio has to be. */
export type Target = { readonly atLeast: number } | { readonly atMost: number };

/** One comparison. */
export interface Row {
  readonly name: string;
  readonly unit: string;
  /** Medians, and what they are the medians of. */
  readonly rate: number;
  readonly reference: number;
  readonly rates: readonly number[];
  readonly references: readonly number[];
  /** Of the medians. */
  readonly ratio: number;
  readonly target?: Target | undefined;
  readonly machine: Machine;
}

/** The middle of the values; of an even number, the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)] ?? NaN;
  const lower = sorted[Math.ceil(sorted.length / 2) - 1] ?? NaN;
  return (lower + upper) / 2;
}

/** A row from what was measured. */
export function makeRow(
  row: Pick<Row, 'name' | 'unit' | 'rates' | 'references' | 'target' | 'machine'>,
): Row {
  const rate = median(row.rates);
  const reference = median(row.references);
  return { ...row, rate, reference, ratio: rate / reference };
}

/** Whether the row's target is met; undefined when it has none. */
export function isMet({ ratio, target }: Row): boolean | undefined {
  if (target === undefined) return undefined;
  return 'atLeast' in target ? ratio >= target.atLeast : ratio <= target.atMost;
}

function describeMachine({ cpu, cores, accelerator, kernel, vcpus, nodes, node }: Machine): string {
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
  return `${sign} ${isMet(row) === true ? 'met' : 'MISSED'}`;
}

const HEADINGS = ['', 'median (spread)', 'compared with', 'unit', 'ratio', 'target'];

function cells(row: Row): string[] {
  return [
    row.name,
    withSpread(row.rate, row.rates),
    withSpread(row.reference, row.references),
    row.unit,
    row.ratio.toFixed(2),
    describeTarget(row),
  ];
}

/** The rows as tables in Markdown, one for each machine. */
export function formatRows(rows: readonly Row[]): string {
  const machines = [...new Set(rows.map(({ machine }) => describeMachine(machine)))];
  return machines
    .map((machine) => {
      const its = rows.filter((row) => describeMachine(row.machine) === machine);
      return `${machine}\n\n${formatTable(its)}`;
    })
    .join('\n');
}

function formatTable(rows: readonly Row[]): string {
  const lines = [HEADINGS, ...rows.map(cells)];
  const widths = HEADINGS.map((_, column) =>
    Math.max(...lines.map((line) => line[column]?.length ?? 0), 3),
  );
  const isText = (column: number): boolean => column === 0 || column === 3 || column === 5;
  const format = (line: readonly string[]): string =>
    `| ${line.map((cell, at) => pad(cell, widths[at] ?? 0, isText(at))).join(' | ')} |\n`;
  const rule = widths.map((width, at) =>
    isText(at) ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`,
  );
  const [headings = [], ...body] = lines;
  return [headings, rule, ...body].map(format).join('');
}

function pad(cell: string, width: number, isText: boolean): string {
  return isText ? cell.padEnd(width) : cell.padStart(width);
}
