// The picture: test accuracy over steps as SVG, drawn without a browser.
import * as echarts from 'echarts';
import { percent, type Run } from './report.js';

const text = { color: '#222', fontFamily: 'Helvetica, Arial, sans-serif', fontSize: 16 };
const axis = {
  nameLocation: 'middle',
  nameTextStyle: text,
  axisLabel: text,
  splitLine: { lineStyle: { color: '#e5e5e5' } },
} as const;

export interface Caption {
  readonly title: string;
  readonly subtitle: string;
}

/** With a dashed line at `target`, a fraction. */
export function drawAccuracy(runs: readonly Run[], target: number, { title, subtitle }: Caption): string {
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width: 960, height: 600 });
  chart.setOption({
    animation: false,
    backgroundColor: '#fff',
    color: ['#0072b2', '#d55e00'],
    textStyle: text,
    title: {
      text: title,
      subtext: subtitle,
      left: 'center',
      top: 16,
      textStyle: { ...text, fontSize: 22 },
      subtextStyle: text,
    },
    legend: { top: 84, textStyle: text, itemWidth: 36, itemGap: 32, icon: 'rect', itemHeight: 3 },
    grid: { left: 84, right: 36, top: 124, bottom: 72 },
    xAxis: { ...axis, type: 'value', name: 'Training steps', nameGap: 36, max: 'dataMax' },
    yAxis: { ...axis, type: 'value', name: 'Test accuracy (%)', nameGap: 52, min: 0, max: 100 },
    series: runs.map(({ name, history }, i) => ({
      name,
      type: 'line',
      showSymbol: false,
      lineStyle: { width: 3 },
      data: history.accuracies.map(({ step, accuracy }) => [step, accuracy * 100]),
      ...(i === 0 && { markLine: targetLine(target) }),
    })),
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return svg;
}

function targetLine(target: number): object {
  return {
    silent: true,
    symbol: 'none',
    lineStyle: { color: '#666', type: 'dashed' },
    label: { ...text, color: '#666', position: 'insideMiddleBottom', formatter: percent(target) },
    data: [{ yAxis: target * 100 }],
  };
}
