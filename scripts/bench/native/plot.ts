/** The native benchmark's rows as drawings. */
import { BarChart, BoxplotChart } from 'echarts/charts';
import {
  GridComponent,
  LegendComponent,
  MarkLineComponent,
  TitleComponent,
} from 'echarts/components';
import { init, use } from 'echarts/core';
import { SVGRenderer } from 'echarts/renderers';

import { WORK_NAMES } from '../contestant.js';
import { totalCalls } from '../result.js';
import type { NativeRow, Who } from './native.js';

use([
  BarChart,
  BoxplotChart,
  GridComponent,
  LegendComponent,
  MarkLineComponent,
  SVGRenderer,
  TitleComponent,
]);

/** The same for everybody in all drawings. */
const COLORS: Record<Who | 'C', string> = {
  C: '#888888',
  'C in the callback': '#333333',
  thread: '#1f77b4',
  loop: '#2ca02c',
  keeper: '#d9620f',
};

const WIDTH = 860;
const HEIGHT = 380;

/** A drawing, and what it is a drawing of, as a part of a file's name. */
export interface Drawing {
  readonly name: string;
  readonly svg: string;
}

/** What there is to draw: rates for each number of processors, and system calls. */
export function drawNative(rows: readonly NativeRow[]): Drawing[] {
  const counts = [...new Set(rows.map(({ processors }) => processors))];
  return counts.flatMap((processors) => {
    const its = rows.filter((row) => row.processors === processors);
    const where = processors === 1 ? 'one processor' : `${processors} processors`;
    const rates = draw(`Operations per second of processor time, on ${where}; C is 1`, {
      rows: its,
      type: 'boxplot',
      // By processor time where there is one: it leaves out who else ran.
      values: its.map(({ cpu, ratios = [] }) => spread(cpu?.ratios ?? ratios)),
    });
    const drawings = [{ name: `rates-${processors}`, svg: rates }];
    const counted = its.filter(({ calls }) => calls !== undefined);
    if (counted.length === 0) return drawings;
    const calls = draw(`System calls for each operation, on ${where}`, {
      rows: counted,
      type: 'bar',
      values: counted.map(({ calls }) => (calls ? totalCalls(calls.ours) : NaN)),
      reference: ({ calls }) => (calls ? totalCalls(calls.reference) : NaN),
    });
    return [...drawings, { name: `calls-${processors}`, svg: calls }];
  });
}

/** A tenth, first quartile, median, third quartile, nine tenths: turns that others spoilt are not drawn. */
function spread(values: readonly number[]): number[] {
  const sorted = values.toSorted((a, b) => a - b);
  return [0.1, 0.25, 0.5, 0.75, 0.9].map((part) => {
    const at = (sorted.length - 1) * part;
    const [below = NaN, above = NaN] = [sorted[Math.floor(at)], sorted[Math.ceil(at)]];
    return below + (above - below) * (at - Math.floor(at));
  });
}

interface Content {
  readonly rows: readonly NativeRow[];
  readonly type: 'bar' | 'boxplot';
  /** Of each row. */
  readonly values: readonly (number | number[])[];
  /** What C has where that is drawn, too; otherwise a line is at one. */
  readonly reference?: (row: NativeRow) => number;
}

/** Groups of one for each workload, with one for each contestant in them. */
function draw(title: string, { rows, type, values, reference }: Content): string {
  const workloadOf = ({ work, depth }: NativeRow): string => `${WORK_NAMES[work]}\ndepth ${depth}`;
  const workloads = [...new Set(rows.map(workloadOf))];
  const whos: (Who | 'C')[] = [...new Set(rows.map(({ who }) => who))];
  const series = whos.map((name) => ({
    name,
    type,
    data: workloads.map((workload) => {
      const at = rows.findIndex((row) => row.who === name && workloadOf(row) === workload);
      return values[at] ?? '-';
    }),
  }));
  if (reference !== undefined) {
    const data = workloads.map((workload) => {
      const row = rows.find((each) => workloadOf(each) === workload);
      return row ? reference(row) : '-';
    });
    series.unshift({ name: 'C', type, data });
  }
  const line = {
    symbol: 'none',
    animation: false,
    label: { formatter: 'C' },
    lineStyle: { color: '#000' },
    data: [{ yAxis: 1 }],
  };
  const chart = init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height: HEIGHT });
  chart.setOption({
    animation: false,
    backgroundColor: '#fff',
    title: { text: title, left: 'center', textStyle: { fontSize: 14 } },
    legend: { bottom: 0, itemGap: 30 },
    grid: { left: 50, right: 40, top: 40, bottom: 80 },
    xAxis: { type: 'category', data: workloads, axisTick: { show: false } },
    yAxis: { type: 'value', min: 0 },
    series: series.map((each, index) => ({
      ...each,
      itemStyle: { color: COLORS[each.name], borderColor: COLORS[each.name] },
      ...(index === 0 && reference === undefined && { markLine: line }),
    })),
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return svg;
}
