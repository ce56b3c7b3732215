// Gradients: what a loss asks of the outputs, and what becomes of it at the inputs.
import { useMemo, useState } from 'preact/hooks';
import { Chart } from '../chart/chart.js';
import { batchOf, batchSizes, type Distribution, seed } from './batch.js';
import { gradients } from './playground-charts.js';
import { numberText, Slider } from './slider.js';
import { type Loss, losses, type Parameters, type Step } from './training-step.js';
import { useStep } from './use-step.js';

interface Properties {
  readonly distribution: Distribution;
  readonly parameters: Parameters;
}

const lessons: Readonly<Record<Loss, string>> = {
  'one value up': 'One output is pushed up. Every input feels it, because all of them make the mean and the variance.',
  'every value to 0':
    'With beta 0 dx almost vanishes: making all inputs smaller changes nothing, since they are divided by their deviation.',
  'the upper half up':
    'What all outputs have in common, and what grows with them, is taken out: only the difference remains.',
};

export function GradientSection({ distribution, parameters }: Properties) {
  const [loss, setLoss] = useState<Loss>('one value up');
  const [pushed, setPushed] = useState(18);
  const x = useMemo(() => batchOf(distribution, batchSizes.few, seed), [distribution]);
  const step = useStep({ x, ...parameters, loss, pushed });
  const pushedHere = loss === 'one value up' ? pushed : undefined;
  return (
    <section aria-labelledby="gradient-title">
      <h2 id="gradient-title">Backward</h2>
      <p class="quiet">
        {batchSizes.few} values of the same distribution. {lessons[loss]}
      </p>
      <div class="sliders">
        <label class="row">
          <span>The loss wants</span>
          <select value={loss} onChange={(event) => setLoss(event.currentTarget.value as Loss)}>
            {Object.keys(losses).map((name) => (
              <option key={name}>{name}</option>
            ))}
          </select>
        </label>
        {pushedHere !== undefined && (
          <Slider name="which value" min={0} max={batchSizes.few - 1} step={1} value={pushed} onChange={setPushed} />
        )}
      </div>
      <figure>
        <figcaption>
          <strong>dx by x</strong> <span class="quiet">gradient of the loss with respect to each input</span>
        </figcaption>
        <Chart
          label="Gradient of the loss with respect to each input"
          draw={gradients(step?.x ?? [], step?.dx ?? [], pushedHere)}
          data={[step]}
          height={220}
        />
      </figure>
      {step && <Sums step={step} />}
    </section>
  );
}

function Sums({ step: { x, dx, dgamma, dbeta, mean, variance } }: { readonly step: Step }) {
  const slopes = Array.from(dx, (g, n) => (g * (x[n]! - mean)) / Math.sqrt(variance + 1e-5));
  const sum = (values: ArrayLike<number>) => Array.from(values).reduce((total, value) => total + value, 0);
  const facts = { dgamma, dbeta, 'Σ dx': sum(dx), 'Σ dx · xHat': sum(slopes) };
  return (
    <dl class="facts">
      {Object.entries(facts).map(([term, fact]) => (
        <div key={term}>
          <dt>{term}</dt>
          <dd>{numberText(fact, 4)}</dd>
        </div>
      ))}
    </dl>
  );
}
