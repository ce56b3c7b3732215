// The second view: move a batch and the parameters, and see what the layer makes of them. Every number is the real layer's.
import { useEffect, useMemo, useState } from 'preact/hooks';
import { Chart } from '../chart/chart.js';
import { batchOf } from './batch.js';
import { GradientSection } from './gradient-section.js';
import { histogram } from './playground-charts.js';
import { RunningSection } from './running-section.js';
import { numberText, Slider } from './slider.js';
import type { Loss, Step } from './training-step.js';
import { trainingStep } from './training-step.js';

const seed = 7;

export function Playground() {
  const [distribution, setDistribution] = useState({ mean: 4, deviation: 2 });
  const [{ gamma, beta }, setParameters] = useState({ gamma: 1, beta: 0 });
  const [gradient, setGradient] = useState<{ loss: Loss; pushed: number }>({ loss: 'one value up', pushed: 0 });
  const { mean, deviation } = distribution;
  const x = useMemo(() => batchOf(distribution, seed), [mean, deviation]);
  const step = useStep({ x, gamma, beta, ...gradient });

  return (
    <div class="playground">
      <h1>See it work</h1>
      <p class="lead">
        A batch of {x.data.length} values of one feature goes through the layer, on the JavaScript backend. Move it, and
        see.
      </p>
      <section aria-labelledby="forward-title">
        <h2 id="forward-title">Forward</h2>
        <p class="quiet">
          Wherever the batch lies and however wide it is, y has mean beta and deviation |gamma|: y = gamma · (x − mean)
          / √(variance + epsilon) + beta.
        </p>
        <div class="sliders">
          <Slider
            name="mean of x"
            min={-6}
            max={6}
            value={mean}
            onChange={(mean) => setDistribution({ mean, deviation })}
          />
          <Slider
            name="deviation of x"
            min={0}
            max={3}
            value={deviation}
            onChange={(deviation) => setDistribution({ mean, deviation })}
          />
          <Slider name="gamma" min={-3} max={3} value={gamma} onChange={(gamma) => setParameters({ gamma, beta })} />
          <Slider name="beta" min={-6} max={6} value={beta} onChange={(beta) => setParameters({ gamma, beta })} />
        </div>
        <div class="charts">
          <Histogram name="x" caption="before" values={step?.x} color="var(--quiet)" />
          <Histogram name="y" caption="after" values={step?.y} color="var(--accent)" />
        </div>
      </section>
      <RunningSection distribution={distribution} />
      <GradientSection step={step} {...gradient} onChange={setGradient} />
    </div>
  );
}

/** The latest step that has been computed: those in between are passed over. */
function useStep(input: Parameters<typeof trainingStep>[0]): Step | undefined {
  const [step, setStep] = useState<Step>();
  useEffect(() => {
    let current = true;
    void trainingStep(input).then((result) => current && setStep(result));
    return () => {
      current = false;
    };
  }, Object.values(input));
  return step;
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
