// Forward: a batch before and after, on the same axis.
import { useMemo } from 'preact/hooks';
import { Chart } from '../chart/chart.js';
import { batchOf, batchSizes, type Distribution, seed } from './batch.js';
import { histogram } from './playground-charts.js';
import { numberText, Slider } from './slider.js';
import type { Parameters } from './training-step.js';
import { useStep } from './use-step.js';

interface Properties {
  readonly distribution: Distribution;
  readonly onDistribution: (distribution: Distribution) => void;
  readonly parameters: Parameters;
  readonly onParameters: (parameters: Parameters) => void;
}

export function ForwardSection({ distribution, onDistribution, parameters, onParameters }: Properties) {
  const { mean, deviation } = distribution;
  const { gamma, beta } = parameters;
  const x = useMemo(() => batchOf(distribution, batchSizes.many, seed), [distribution]);
  const step = useStep({ x, gamma, beta, loss: 'every value to 0', pushed: 0 });
  const moved = (change: Partial<Distribution>) => onDistribution({ ...distribution, ...change });
  const set = (change: Partial<Parameters>) => onParameters({ ...parameters, ...change });
  return (
    <section aria-labelledby="forward-title">
      <h2 id="forward-title">Forward</h2>
      <p class="quiet">
        {batchSizes.many} values. Wherever they lie and however wide, y has mean beta and deviation |gamma|: y = gamma ·
        (x − mean) / √(variance + epsilon) + beta.
      </p>
      <div class="sliders">
        <Slider name="mean of x" min={-6} max={6} value={mean} onChange={(mean) => moved({ mean })} />
        <Slider
          name="deviation of x"
          min={0}
          max={3}
          value={deviation}
          onChange={(deviation) => moved({ deviation })}
        />
        <Slider name="gamma" min={-3} max={3} value={gamma} onChange={(gamma) => set({ gamma })} />
        <Slider name="beta" min={-6} max={6} value={beta} onChange={(beta) => set({ beta })} />
      </div>
      <div class="charts">
        <Histogram name="x" caption="before" values={step?.x} color="var(--quiet)" />
        <Histogram name="y" caption="after" values={step?.y} color="var(--accent)" />
      </div>
    </section>
  );
}

interface HistogramProperties {
  readonly name: string;
  readonly caption: string;
  readonly values: ArrayLike<number> | undefined;
  readonly color: string;
}

function Histogram({ name, caption, values, color }: HistogramProperties) {
  const list = values ? Array.from(values) : [];
  const [mean, deviation] = momentsOf(list);
  const facts = `mean ${numberText(mean, 2)}, deviation ${numberText(deviation, 2)}`;
  return (
    <figure>
      <figcaption>
        <strong>
          {name}, {caption}
        </strong>{' '}
        <span class="quiet">{facts}</span>
      </figcaption>
      <Chart label={`Histogram of ${name}: ${facts}`} draw={histogram(list, color)} data={[values]} height={150} />
    </figure>
  );
}

function momentsOf(values: readonly number[]): [mean: number, deviation: number] {
  const N = Math.max(1, values.length);
  const mean = values.reduce((sum, value) => sum + value, 0) / N;
  return [mean, Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / N)];
}
