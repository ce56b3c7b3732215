// A backend in fifty lines: four passes over an activation, as the formulas stand. core-api makes the rest.
import { hostBackend } from '@batchnorm/core-api';

export const createToyBackend = () => hostBackend({ name: 'toy', passesFor });

function passesFor({ extent: { outer, channels, inner }, dtype, activation = 'none' }) {
  const indexOf = (j, c) => (Math.floor(j / inner) * channels + c) * inner + (j % inner);
  // Half by half: a sum of n values then errs by log2 n roundings, not by n.
  const sum = (value, begin, end) => {
    const middle = (begin + end) >> 1;
    return middle === begin ? value(begin) : sum(value, begin, middle) + sum(value, middle, end);
  };
  const sums = (term) =>
    Float64Array.from({ length: channels }, (_, c) => sum((j) => term(indexOf(j, c), c), 0, outer * inner));
  const fill = (out, value) => out.set(out.map((_, k) => value(k, Math.floor(k / inner) % channels)));
  const positionOf = (k) => Math.floor(k / (channels * inner)) * inner + (k % inner);
  const counts = (mask, k) => !mask || mask.positions[positionOf(k)] === 1;
  const z = ({ x, residual, mean, scale, beta }, k, c) =>
    (x[k] - mean[c]) * scale[c] + beta[c] + (residual ? residual[k] : 0);
  const stored = dtype === 'float32' ? Math.fround : (value) => value;
  const isOff = (forward, k, c) => activation === 'relu' && stored(z(forward, k, c)) <= 0;
  const gradientOfZ = (forward, dy) => (k, c) => (isOff(forward, k, c) ? 0 : dy[k]);
  return {
    moments(x, mask, mean, m2) {
      const count = mask ? mask.count : outer * inner;
      const pivot = (c) => x[indexOf(mask ? mask.positions.indexOf(1) : 0, c)];
      const counted = (value) => sums((k, c) => (counts(mask, k) ? value(k, c) : 0));
      mean.set(counted((k, c) => x[k] - pivot(c)).map((deviations, c) => pivot(c) + deviations / count));
      m2.set(counted((k, c) => (x[k] - mean[c]) ** 2));
    },
    normalize: (forward, y) => fill(y, (k, c) => (isOff(forward, k, c) ? 0 : z(forward, k, c))),
    gradientSums(forward, dy, dgamma, dbeta) {
      const { x, mean, invStd } = forward;
      const g = gradientOfZ(forward, dy);
      dgamma.set(sums((k, c) => g(k, c) * (x[k] - mean[c]) * invStd[c]));
      dbeta.set(sums(g));
    },
    inputGradient(forward, dy, total, dx, dresidual) {
      const { x, mask, M, mean, invStd, scale } = forward;
      const g = gradientOfZ(forward, dy);
      const throughStatistics = (k, c) => (total.dbeta[c] + (x[k] - mean[c]) * invStd[c] * total.dgamma[c]) / M;
      if (dresidual) fill(dresidual, g);
      fill(dx, (k, c) => scale[c] * (g(k, c) - (total && counts(mask, k) ? throughStatistics(k, c) : 0)));
    },
  };
}
