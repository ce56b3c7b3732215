// A backend in thirty lines: four passes over an activation, as the formulas stand. core-api makes the rest.
import { hostBackend } from '@batchnorm/core-api';

export const createToyBackend = () => hostBackend({ name: 'toy', passesFor });

function passesFor({ extent: { outer, channels, inner } }) {
  const count = outer * inner;
  const indexOf = (j, c) => (Math.floor(j / inner) * channels + c) * inner + (j % inner);
  // Half by half: a sum of n values then errs by log2 n roundings, not by n.
  const sum = (value, begin, end) => {
    const middle = (begin + end) >> 1;
    return middle === begin ? value(begin) : sum(value, begin, middle) + sum(value, middle, end);
  };
  const sums = (term) =>
    Float64Array.from({ length: channels }, (_, c) => sum((j) => term(indexOf(j, c), c), 0, count));
  const fill = (out, value) => out.set(out.map((_, k) => value(k, Math.floor(k / inner) % channels)));
  return {
    moments(x, mean, m2) {
      mean.set(sums((k, c) => x[k] - x[c * inner]).map((deviations, c) => x[c * inner] + deviations / count));
      m2.set(sums((k, c) => (x[k] - mean[c]) ** 2));
    },
    normalize: ({ x, mean, scale }, beta, y) => fill(y, (k, c) => (x[k] - mean[c]) * scale[c] + beta[c]),
    gradientSums({ x, mean, invStd }, dy, dgamma, dbeta) {
      dgamma.set(sums((k, c) => dy[k] * (x[k] - mean[c]) * invStd[c]));
      dbeta.set(sums((k) => dy[k]));
    },
    inputGradient: ({ x, M, mean, invStd, scale }, dy, dgamma, dbeta, dx) =>
      fill(dx, (k, c) => scale[c] * (dy[k] - (dbeta[c] + (x[k] - mean[c]) * invStd[c] * dgamma[c]) / M)),
  };
}
