// A backend in plain JavaScript, as short as it can be and right: no build, no types, no dependency but the contract.
import { allocate, assertFiniteStatistics, BatchNormError } from '@batchnorm/core-api';

export function createToyBackend() {
  let disposed = false;
  const usable = (result) => {
    if (disposed) throw new BatchNormError('DISPOSED', 'received a call after dispose(), expected none');
    return result;
  };
  const upload = () => {
    throw usable(new BatchNormError('UNSUPPORTED', 'received upload(), expected host tensors'));
  };
  return {
    contractVersion: 1,
    name: 'toy',
    capabilities: {
      dtypes: ['float32', 'float64'],
      deviceTensors: false,
      deterministic: true,
      limits: { elements: 1e8 },
    },
    execution: { engine: 'JavaScript', device: 'cpu', threads: 1, accumulation: 'float64', fallbackReason: null },
    prepare: (plan) => usable(kernelsFor(plan, usable)),
    upload,
    dispose: () => {
      disposed = true;
    },
  };
}

function kernelsFor({ extent: { outer, channels, inner }, dtype }, usable) {
  const [M, size] = [outer * inner, outer * channels * inner];
  const channelOf = (k) => Math.floor(k / inner) % channels;
  /** Per channel, in blocks of one run or 256 rows: the bound allows no longer chain of additions. */
  const sums = (term) => {
    const [totals, blocks] = [new Float64Array(channels), new Float64Array(channels)];
    for (let k = 0, n = 0; k < size; k++) {
      blocks[channelOf(k)] += term(k, channelOf(k));
      if ((k + 1) % (channels * inner) !== 0 || (++n % 256 !== 0 && k + 1 < size)) continue;
      for (let c = 0; c < channels; c++) totals[c] += blocks[c];
      blocks.fill(0);
    }
    return totals;
  };
  const normalize = ({ x, y = allocate(dtype, size), gamma, beta, epsilon }, { mean, variance }) => {
    const saved = {
      x,
      mean: mean.slice(),
      std: variance.map((v) => Math.sqrt(v + epsilon)),
      gamma: gamma.slice(),
      dispose() {},
    };
    for (let k = 0; k < size; k++) y[k] = gamma[channelOf(k)] * xHat(saved, k) + beta[channelOf(k)];
    return { y, saved };
  };
  const xHat = ({ x, mean, std }, k) => (x[k] - mean[channelOf(k)]) / std[channelOf(k)];
  const gradients = ({ saved, dy, ...out }, through) => {
    const {
      dx = allocate(dtype, size),
      dgamma = new Float64Array(channels),
      dbeta = new Float64Array(channels),
    } = usable(out);
    dgamma.set(sums((k) => dy[k] * xHat(saved, k)));
    dbeta.set(sums((k) => dy[k]));
    for (let k = 0; k < size; k++) {
      const c = channelOf(k);
      dx[k] = (saved.gamma[c] / saved.std[c]) * (dy[k] - through * ((dbeta[c] + xHat(saved, k) * dgamma[c]) / M));
    }
    return { dx, dgamma, dbeta };
  };
  return {
    forwardTraining: (input) => {
      const { x, requireFinite } = usable(input);
      const offset = sums((k, c) => x[k] - x[c * inner]).map((sum) => sum / M);
      const mean = offset.map((value, c) => x[c * inner] + value);
      const variance = sums((k, c) => (x[k] - x[c * inner] - offset[c]) ** 2).map((sum) => sum / M);
      if (requireFinite) assertFiniteStatistics({ mean, variance });
      return { ...normalize(input, { mean, variance }), statistics: { mean, variance } };
    },
    forwardInference: (input) => normalize(usable(input), input),
    backwardTraining: (input) => gradients(input, 1),
    backwardInference: (input) => gradients(input, 0),
    dispose() {},
  };
}
