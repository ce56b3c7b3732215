// Running statistics converging: batch after batch of the distribution above, also while it is moved.
import { useEffect, useRef, useState } from 'preact/hooks';
import { Chart } from '../chart/chart.js';
import { batchOf, batchSizes, type Distribution } from './batch.js';
import { convergence } from './playground-charts.js';
import { numberText, Slider } from './slider.js';
import { trainingLayer } from './training-step.js';

interface History {
  readonly mean: readonly number[];
  readonly variance: readonly number[];
}

/** Where a layer's running statistics begin. */
const start: History = { mean: [0], variance: [1] };

/** Milliseconds from one batch to the next, so that one sees them come. */
const pace = 40;

export function RunningSection({ distribution }: { readonly distribution: Distribution }) {
  const [momentum, setMomentum] = useState(0.9);
  const { history, train, restart, training } = useTraining(momentum, distribution);
  const batches = history.mean.length - 1;
  const targets = { mean: distribution.mean, variance: distribution.deviation ** 2 };
  return (
    <section aria-labelledby="running-title">
      <h2 id="running-title">Running statistics</h2>
      <p class="quiet">
        Each training batch moves them: running ← momentum · running + (1 − momentum) · batch. Inference normalises with
        them. The dashed line is the distribution that batches are drawn from: move its mean above, and train on.
      </p>
      <div class="sliders">
        <Slider name="momentum" min={0} max={0.99} step={0.01} value={momentum} onChange={setMomentum} />
        <p class="actions">
          <button type="button" disabled={training} onClick={() => train(1)}>
            One batch
          </button>
          <button type="button" disabled={training} onClick={() => train(20)}>
            Twenty batches
          </button>
          <button type="button" disabled={training || batches === 0} onClick={restart}>
            Start again
          </button>
        </p>
      </div>
      <div class="charts">
        {(['mean', 'variance'] as const).map((name) => (
          <figure key={name}>
            <figcaption>
              <strong>running {name}</strong>{' '}
              <span class="quiet">
                {numberText(history[name].at(-1)!, 2)} after {batches} {batches === 1 ? 'batch' : 'batches'}
              </span>
            </figcaption>
            <Chart
              label={`Running ${name} after each of ${batches} batches: ${numberText(history[name].at(-1)!, 2)} now, of ${numberText(targets[name], 2)}`}
              draw={convergence(history[name], targets[name])}
              data={[history, targets[name]]}
              height={180}
            />
          </figure>
        ))}
      </div>
    </section>
  );
}

function useTraining(momentum: number, distribution: Distribution) {
  const layer = useRef(trainingLayer(momentum));
  const [history, setHistory] = useState(start);
  const [training, setTraining] = useState(false);
  const latest = useRef(distribution);
  latest.current = distribution;

  const restart = () => {
    layer.current = trainingLayer(momentum);
    setHistory(start);
  };
  // momentum is an option of a layer: another momentum is another layer.
  useEffect(restart, [momentum]);

  const train = async (batches: number) => {
    setTraining(true);
    const trained = layer.current;
    for (let n = 0; n < batches && layer.current === trained; n++) {
      if (n > 0) await new Promise((resolve) => setTimeout(resolve, pace));
      await trained.forward(batchOf(latest.current, batchSizes.many, trained.batchesTracked + 1));
      const [mean, variance] = [trained.runningMean[0]!, trained.runningVariance[0]!];
      if (layer.current !== trained) break;
      setHistory((before) => ({ mean: [...before.mean, mean], variance: [...before.variance, variance] }));
    }
    setTraining(false);
  };
  return { history, train, restart, training };
}
