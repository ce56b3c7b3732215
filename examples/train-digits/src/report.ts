// What a run says in the terminal: progress, a table and a chart. Through a pipe all of it is plain text.
import { styleText } from 'node:util';
import { SingleBar } from 'cli-progress';
import Table from 'cli-table3';
import plot from 'simple-ascii-chart';
import { finalAccuracy, type History, stepsTo } from './train.js';

export interface Run {
  readonly name: string;
  readonly history: History;
}

/** A progress bar, started; plain lines at its start and its end where stderr is no terminal. */
export function progressBar(name: string, total: number): SingleBar {
  const bar = new SingleBar({
    format: `{bar}  step {value} of {total}  ${name}`,
    barCompleteChar: '█',
    barIncompleteChar: '░',
    barsize: 30,
    noTTYOutput: true,
    // Else the first Ctrl-C would stop the bar alone.
    gracefulExit: false,
  });
  bar.start(total, 0);
  return bar;
}

export function table(runs: readonly Run[], target: number): string {
  const table = new Table({
    head: ['network', 'final test accuracy', `steps to ${percent(target)}`],
    colAligns: ['left', 'right', 'right'],
    style: { head: [], border: [] },
  });
  for (const { name, history } of runs) {
    const needed = stepsTo(target, history);
    table.push([name, percent(finalAccuracy(history)), Number.isFinite(needed) ? needed : 'not reached']);
  }
  return table.toString();
}

/** Test accuracy over steps. Each line has a symbol of its own, for those who see no colours. */
export function chart(runs: readonly Run[]): string {
  // styleText adds no colour where stdout is no terminal.
  const symbols = [styleText('cyan', '●'), styleText('yellow', '○')];
  // Where lines meet, the later hides the earlier: the first run comes last.
  const lines = runs
    .toReversed()
    .map(({ history }) => history.accuracies.map(({ step, accuracy }): [number, number] => [step, accuracy * 100]));
  const lastStep = lines[0]?.at(-1)?.[0] ?? 0;
  let run = runs.length;
  return plot(lines, {
    width: 70,
    height: 18,
    yRange: [0, 100],
    customXAxisTicks: [0, 0.25, 0.5, 0.75, 1].map((part) => part * lastStep),
    customYAxisTicks: [0, 20, 40, 60, 80, 100],
    formatter: (value) => value,
    title: `Test accuracy, %      ${runs.map(({ name }, i) => `${symbols[i]} ${name}`).join('      ')}`,
    xLabel: 'step',
    lineFormatter: ({ index, plotX, plotY }) => {
      // Nobody says which line the point is on, but lines come one after the other.
      if (index === 0) run--;
      return { x: plotX, y: plotY, symbol: symbols[run] as string };
    },
  });
}

export function percent(fraction: number): string {
  return `${Number((fraction * 100).toFixed(1))} %`;
}
