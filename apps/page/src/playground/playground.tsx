// The second view: move a batch and the parameters, and see what the layer makes of them. Every number is the real
// layer's.
import { useState } from 'preact/hooks';
import { ForwardSection } from './forward-section.js';
import { GradientSection } from './gradient-section.js';
import { RunningSection } from './running-section.js';

export function Playground() {
  const [distribution, setDistribution] = useState({ mean: 4, deviation: 2 });
  const [parameters, setParameters] = useState({ gamma: 1, beta: 0 });
  return (
    <div class="playground">
      <h1>See it work</h1>
      <p class="lead">
        Batch normalisation moves and scales a batch of numbers, so that their mean is 0 and their deviation 1; then it
        applies a scale (gamma) and a shift (beta) that are learned. Move the sliders, and see. Every number comes from
        the layer itself.
      </p>
      <ForwardSection
        distribution={distribution}
        onDistribution={setDistribution}
        parameters={parameters}
        onParameters={setParameters}
      />
      <RunningSection distribution={distribution} />
      <GradientSection distribution={distribution} parameters={parameters} />
    </div>
  );
}
