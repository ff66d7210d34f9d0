/** A line chart over time. Loaded only in the browser, on demand: its library is large. */
import UPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';

import { clock } from '$lib/format';
import type { Language } from '$lib/i18n/language';

/** A column of times in seconds, then one column per line; null where there is no value. */
export type Columns = [number[], ...(number | null)[][]];

/** The scale of the y axis. */
export type Scale = {
  /** The smallest upper end. */
  end: number;
  /** The smallest distance of the grid lines. */
  step: number;
  text: (value: number) => string;
};

const HEIGHT = 220;
const STEPS = [1, 2, 5]
  .flatMap((it) => [it, it * 10, it * 100, it * 1_000, it * 10_000])
  .toSorted((a, b) => a - b);
const FONT = '12px "Figtree Variable", system-ui, sans-serif';

export type Chart = { show(columns: Columns): void; destroy(): void };

/** Draws into `frame`, in its colours; each line is drawn like its element in `legend`. */
export function createChart(
  frame: HTMLElement,
  legend: readonly Element[],
  language: Language,
  scale: Scale,
  columns: Columns,
): Chart {
  const axis: UPlot.Axis = {
    font: FONT,
    stroke: () => getComputedStyle(frame).color,
    grid: { stroke: () => getComputedStyle(frame).borderBlockEndColor, width: 1 },
    ticks: { show: false },
  };
  const plot = new UPlot(
    {
      width: frame.clientWidth,
      height: HEIGHT,
      legend: { show: false },
      cursor: { show: false },
      scales: { y: { range: (_plot, _least, most) => [0, Math.max(most, scale.end)] } },
      axes: [
        { ...axis, space: 90, values: (_, times) => times.map((at) => clock(at * 1000, language)) },
        {
          ...axis,
          // No distance smaller than a step.
          incrs: STEPS.map((it) => it * scale.step),
          values: (_, values) => values.map(scale.text),
        },
      ],
      series: [
        {},
        ...legend.map((line) => ({
          spanGaps: true,
          width: 2,
          stroke: () => getComputedStyle(line).color,
          ...(line.matches('.dashed') && { dash: [6, 4] }),
        })),
      ],
    },
    columns as UPlot.AlignedData,
    frame,
  );
  const resized = new ResizeObserver(() => {
    plot.setSize({ width: frame.clientWidth, height: HEIGHT });
  });
  resized.observe(frame);
  const scheme = matchMedia('(prefers-color-scheme: dark)');
  const redraw = () => plot.redraw();
  scheme.addEventListener('change', redraw);
  return {
    show: (columns) => plot.setData(columns as UPlot.AlignedData),
    destroy() {
      resized.disconnect();
      scheme.removeEventListener('change', redraw);
      plot.destroy();
    },
  };
}
