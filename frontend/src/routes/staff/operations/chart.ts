/** The chart of the rates. Loaded only where a browser draws it: its library is not small. */
import UPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';

import { clock, percent } from '$lib/format';
import type { Language } from '$lib/i18n/language';

import { type Columns, LINES } from './rates';

const HEIGHT = 220;
const FONT = '12px "Figtree Variable", system-ui, sans-serif';

export type Chart = { show(columns: Columns): void; destroy(): void };

/** Draws into `frame`, in its colours; `colours` are elements in the colour of each line. */
export function createChart(
  frame: HTMLElement,
  colours: readonly Element[],
  language: Language,
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
      scales: { y: { range: [0, 1] } },
      axes: [
        { ...axis, space: 90, values: (_, times) => times.map((at) => clock(at * 1000, language)) },
        { ...axis, values: (_, shares) => shares.map((share) => percent(share, language)) },
      ],
      series: [
        {},
        ...LINES.map(({ rate }, index) => ({
          spanGaps: true,
          width: 2,
          stroke: () => getComputedStyle(colours[index] ?? frame).color,
          ...(rate === 'slow' && { dash: [6, 4] }),
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
