// The picture: time of a layer over ranks, by the model and as measured, as SVG, drawn without a browser.
import * as echarts from 'echarts';

export interface Line {
  readonly name: string;
  readonly times: readonly (readonly [ranks: number, micros: number])[];
}

export interface Point {
  readonly name: string;
  readonly ranks: number;
  readonly micros: number;
}

const text = { color: '#222', fontFamily: 'Helvetica, Arial, sans-serif', fontSize: 15 };
const axis = {
  type: 'log',
  nameLocation: 'middle',
  nameTextStyle: text,
  axisLabel: text,
  splitLine: { lineStyle: { color: '#e5e5e5' } },
} as const;

export function drawGrowth(lines: readonly Line[], points: readonly Point[]): string {
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width: 960, height: 600 });
  chart.setOption({
    animation: false,
    backgroundColor: '#fff',
    color: ['#0072b2', '#009e73', '#d55e00', '#cc79a7'],
    textStyle: text,
    title: {
      text: 'One layer of 64 channels in a training step: model (lines), measured (points)',
      left: 'center',
      top: 16,
      textStyle: { ...text, fontSize: 19 },
    },
    legend: { top: 52, itemGap: 28, icon: 'rect', itemHeight: 3, textStyle: text, data: lines.map(({ name }) => name) },
    grid: { left: 90, right: 36, top: 96, bottom: 72 },
    xAxis: { ...axis, logBase: 2, name: 'Ranks', nameGap: 36, min: 2, max: 4096, splitNumber: 11 },
    yAxis: { ...axis, name: 'µs', nameGap: 56 },
    series: [
      ...lines.map(({ name, times }) => ({ name, type: 'line', showSymbol: false, data: times })),
      ...points.map(({ name, ranks, micros }) => ({
        name,
        type: 'scatter',
        data: [[ranks, micros]],
        itemStyle: { color: '#222' },
        symbolSize: 9,
        label: { ...text, fontSize: 12, show: true, position: 'right', formatter: name },
      })),
    ],
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return svg;
}
