// `pnpm --filter @batchnorm/backend-wasm accuracy`: the largest error of a float32 training step on every adversarial case of the kit, relative to
// its terms (docs/numerics.md), beside that of PyTorch float32 on the CPU. Needs a python3 with torch, or PYTHON.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { createWasmBackend } from '@batchnorm/backend-wasm';
import { adversarialProblems, magnitudes, oracle, solve } from '@batchnorm/conformance';
import { BatchNorm, extentOf } from '@batchnorm/core-api';

const cases = adversarialProblems.map((problem) => {
  const { name, options, gamma, beta, steps } = solve(problem);
  const { x, dy } = steps[0];
  const C = options.numFeatures;
  const parameters = {
    gamma: gamma ? Array.from(gamma.data) : new Array(C).fill(1),
    beta: beta ? Array.from(beta.data) : new Array(C).fill(0),
  };
  const axis = options.axis < 0 ? x.shape.length + options.axis : options.axis;
  return { name, axis, C, epsilon: options.epsilon, shape: x.shape, ...parameters, x: x.data, dy: dy.data };
});

const python = process.env.PYTHON ?? 'python3';
const peer = fileURLToPath(new URL('pytorch-step.py', import.meta.url));
const input = cases.map((one) => `${JSON.stringify({ ...one, x: [...one.x], dy: [...one.dy] })}\n`).join('');
const { status, stdout, stderr } = spawnSync(python, [peer], { input, maxBuffer: 2 ** 30, encoding: 'utf8' });
const theirs =
  status === 0
    ? stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line))
    : undefined;
if (!theirs) console.log(`PyTorch skipped: ${python}: ${stderr?.trim().split('\n').at(-1) || 'it does not run'}`);

const backend = await createWasmBackend();
let worse = 0;
for (const [index, one] of cases.entries()) {
  const exact = exactOf(one);
  const ours = worstError(await step(one), exact);
  const pytorch = theirs && worstError(theirs[index], exact);
  const isWorse = pytorch !== undefined && ours > pytorch;
  if (isWorse) worse++;
  const columns = [ours, ...(theirs ? [pytorch] : [])].map((error) => error.toExponential(2).padStart(10));
  console.log(`${columns.join(' ')}  ${one.name}${isWorse ? '  ← PyTorch is more accurate' : ''}`);
}
console.log(
  `${cases.length} cases; wasm${theirs ? ' and PyTorch' : ''}; PyTorch is more accurate in ${theirs ? worse : '?'}`,
);
await backend.dispose();

async function step({ C, axis, epsilon, shape, gamma, beta, x, dy }) {
  const layer = new BatchNorm({ backend, numFeatures: C, axis, epsilon, trackRunningStatistics: false });
  layer.gamma.set(gamma);
  layer.beta.set(beta);
  const y = await layer.forward({ data: Float32Array.from(x), shape });
  const { dx, dgamma, dbeta } = await layer.backward({ data: Float32Array.from(dy), shape });
  await layer.dispose();
  return { y: y.data, dx: dx.data, dgamma, dbeta };
}

function exactOf({ axis, epsilon, shape, gamma, beta, x, dy }) {
  const extent = extentOf(shape, axis);
  const problem = {
    extent,
    x,
    gamma: Float64Array.from(gamma, Math.fround),
    beta: Float64Array.from(beta, Math.fround),
    epsilon,
  };
  const rounded = { ...problem, gamma, beta };
  const magnitude = magnitudes(x, dy, extent, { ...oracle.batchStatistics(x, extent), ...rounded }, true);
  return { values: { y: oracle.forward(rounded), ...oracle.backward(rounded, dy) }, magnitude };
}

/** Over y, dx, dgamma and dbeta. */
function worstError(got, { values, magnitude }) {
  let worst = 0;
  for (const name of ['y', 'dx', 'dgamma', 'dbeta']) {
    for (let k = 0; k < values[name].length; k++) {
      const error = Math.abs((got[name][k] ?? Number.NaN) - values[name][k]);
      if (error === 0) continue;
      const relative = error / magnitude[name](k);
      worst = Math.max(worst, Number.isNaN(relative) ? Number.POSITIVE_INFINITY : relative);
    }
  }
  return worst;
}
