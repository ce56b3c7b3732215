// Wrong backends: the plain one with one line changed, each as somebody has got it wrong before.

export interface Mutant {
  readonly name: string;
  readonly from: string;
  readonly to: string;
}

export const mutants: readonly Mutant[] = [
  // Statistics
  {
    name: 'normalises with the sample variance',
    from: 'm2[c] = sum(c, (k) => (x[k] - pivot - offset) ** 2);',
    to: 'm2[c] = (sum(c, (k) => (x[k] - pivot - offset) ** 2) * count) / Math.max(1, count - 1);',
  },
  {
    name: 'variance as E[x²] − E[x]²',
    from: 'm2[c] = sum(c, (k) => (x[k] - pivot - offset) ** 2);',
    to: 'm2[c] = sum(c, (k) => x[k] ** 2) - count * mean[c] ** 2;',
  },
  {
    name: 'variance as E[x²] − E[x]², clipped at 0',
    from: 'm2[c] = sum(c, (k) => (x[k] - pivot - offset) ** 2);',
    to: 'm2[c] = Math.max(0, sum(c, (k) => x[k] ** 2) - count * mean[c] ** 2);',
  },
  {
    name: 'one pass around the first value, in float32',
    from: 'm2[c] = sum(c, (k) => (x[k] - pivot - offset) ** 2);',
    to: 'm2[c] = count * Math.max(0, Math.fround(sum(c, (k) => (x[k] - pivot) ** 2) / count) - Math.fround(offset ** 2));',
  },
  {
    name: 'the mean rounded to float32',
    from: 'mean[c] = pivot + offset;',
    to: 'mean[c] = Math.fround(pivot + offset);',
  },
  {
    name: 'float32 sums',
    from: 'block += term((o * channels + c) * inner + i);',
    to: 'block = Math.fround(block + term((o * channels + c) * inner + i));',
  },
  { name: 'float32 totals of blocks', from: 'total += block;', to: 'total = Math.fround(total + block);' },
  {
    name: 'the last, partial block is left out',
    from: 'return total + block;',
    to: 'return n === 0 || total === 0 ? total + block : total;',
  },
  {
    name: 'a value of each block is left out',
    from: 'if (n === 256) {\n            total += block;',
    to: 'if (n === 256) {\n            total += block - term((o * channels + c) * inner + i);',
  },
  {
    name: 'statistics over rows alone',
    from: 'for (let i = 0; i < inner; i++) {\n          block',
    to: 'for (let i = 0; i < Math.min(inner, 1); i++) {\n          block',
  },
  {
    name: 'the deviation of channel 0 for all',
    from: '1 / Math.sqrt(value + epsilon)',
    to: '1 / Math.sqrt(variance[0] + epsilon)',
  },
  // Normalisation
  { name: 'epsilon outside the root', from: '1 / Math.sqrt(value + epsilon)', to: '1 / (Math.sqrt(value) + epsilon)' },
  { name: 'no epsilon', from: '1 / Math.sqrt(value + epsilon)', to: '1 / Math.sqrt(value)' },
  { name: 'epsilon twice', from: '1 / Math.sqrt(value + epsilon)', to: '1 / Math.sqrt(value + 2 * epsilon)' },
  { name: 'epsilon fixed at 1e-5', from: '1 / Math.sqrt(value + epsilon)', to: '1 / Math.sqrt(value + 1e-5)' },
  {
    name: 'x·scale + shift in float32',
    from: 'out[k] = gamma[c] * ((x[k] - mean[c]) * invStd[c]) + beta[c];',
    to: 'out[k] = Math.fround(x[k] * Math.fround(gamma[c] * invStd[c])) + Math.fround(beta[c] - mean[c] * gamma[c] * invStd[c]);',
  },
  { name: 'beta forgotten', from: '* invStd[c]) + beta[c];', to: '* invStd[c]);' },
  { name: '|gamma| for gamma', from: 'out[k] = gamma[c] *', to: 'out[k] = Math.abs(gamma[c]) *' },
  {
    name: 'channels as if they were last',
    from: 'visit(k, Math.floor(k / inner) % channels)',
    to: 'visit(k, k % channels)',
  },
  {
    name: 'the last element is not written',
    from: 'k < outer * channels * inner; k++',
    to: 'k < outer * channels * inner - 1; k++',
  },
  {
    name: 'NaN leaks into the next channel',
    from: 'return { count, mean, m2 };',
    to: 'if (m2.some(Number.isNaN)) m2.fill(NaN);\n        return { count, mean, m2 };',
  },
  {
    name: 'NaN becomes 0',
    from: 'out[k] = gamma[c] * ((x[k] - mean[c]) * invStd[c]) + beta[c];',
    to: 'out[k] = (gamma[c] * ((x[k] - mean[c]) * invStd[c]) || 0) + beta[c];',
  },
  // Gradients
  {
    name: 'the mean of dy dropped',
    from: 'total.dbeta[c] / M + (xHat * total.dgamma[c]) / M',
    to: '(xHat * total.dgamma[c]) / M',
  },
  {
    name: 'the xHat term dropped',
    from: 'total.dbeta[c] / M + (xHat * total.dgamma[c]) / M',
    to: 'total.dbeta[c] / M',
  },
  {
    name: 'dgamma with x instead of xHat',
    from: 'sum(c, (k) => dy[k] * ((x[k] - mean[c]) * invStd[c]))',
    to: 'sum(c, (k) => dy[k] * x[k])',
  },
  {
    name: 'dgamma not divided by the deviation',
    from: 'dy[k] * ((x[k] - mean[c]) * invStd[c])',
    to: 'dy[k] * (x[k] - mean[c])',
  },
  {
    name: 'means over M − 1',
    from: 'total.dbeta[c] / M + (xHat * total.dgamma[c]) / M',
    to: '(total.dbeta[c] + xHat * total.dgamma[c]) / Math.max(1, M - 1)',
  },
  { name: 'dx without gamma', from: 'dx[k] = gamma[c] * invStd[c]', to: 'dx[k] = invStd[c]' },
  { name: 'dx without the deviation', from: 'dx[k] = gamma[c] * invStd[c]', to: 'dx[k] = gamma[c]' },
  {
    name: 'inference backward through batch statistics',
    from: 'const rest = total ? total.dbeta[c] / M + (xHat * total.dgamma[c]) / M : 0;',
    to: 'const by = total ?? sums; const rest = by ? by.dbeta[c] / count + (xHat * by.dgamma[c]) / count : 0;',
  },
  {
    name: 'training backward with constant statistics',
    from: 'const rest = total ? total.dbeta[c] / M + (xHat * total.dgamma[c]) / M : 0;',
    to: 'const rest = 0;',
  },
  {
    name: 'dbeta and dgamma add to what was in out',
    from: 'dbeta.set(sums.dbeta);',
    to: 'dbeta.set(dbeta.map((value, c) => value + sums.dbeta[c]));',
  },
  {
    name: 'gradient sums in float32',
    from: 'sums.dbeta[c] = sum(c, (k) => dy[k]);',
    to: 'sums.dbeta[c] = Math.fround(sum(c, (k) => dy[k]));',
  },
  // Buffers, calls and errors
  {
    name: 'out ignored',
    from: 'const out = y ?? core.allocate(dtype, x.length);',
    to: 'const out = core.allocate(dtype, x.length);',
  },
  {
    name: 'dx ignores out',
    from: 'const dx = out.dx ?? core.allocate(dtype, dy.length);',
    to: 'const dx = core.allocate(dtype, dy.length);',
  },
  { name: 'the input is written', from: 'const out = y ?? core.allocate(dtype, x.length);', to: 'const out = y ?? x;' },
  {
    name: 'dy is written',
    from: 'const dx = out.dx ?? core.allocate(dtype, dy.length);',
    to: 'const dx = out.dx ?? dy;',
  },
  { name: 'gamma is not saved', from: 'gamma: gamma.slice(), dispose() {}', to: 'gamma, dispose() {}' },
  {
    name: 'a saved forward of all layers',
    from: 'const saved = { x, M, mean: mean.slice(), invStd, gamma: gamma.slice(), dispose() {} };',
    to: 'const saved = Object.assign((core.saved ??= {}), { x, M, mean: mean.slice(), invStd, gamma: gamma.slice(), dispose() {} });',
  },
  {
    name: 'the first saved forward for ever',
    from: 'return { y: out, saved };',
    to: 'return { y: out, saved: (plan.first ??= saved) };',
  },
  {
    name: 'running statistics updated in inference',
    from: 'const { mean } = batch ?? given;',
    to: 'const { mean } = batch ?? given; if (given) mean[0] += 1e-3;',
  },
  {
    name: 'batch statistics in inference',
    from: 'const { mean } = batch ?? given;',
    to: 'if (given) return this.normalize({ x, gamma, beta, epsilon, y, by: { batch: this.moments({ x }) } }); const { mean } = batch;',
  },
  {
    name: 'writes before it refuses',
    from: 'const scale = invStd.map((value, c) => gamma[c] * value);',
    to: 'const scale = invStd.map((value, c) => gamma[c] * value); if (out !== x) out.fill(0);',
  },
  {
    name: 'does not answer in the same bits',
    from: 'return total + block;',
    to: 'return (total + block) * (1 + ((core.calls = (core.calls ?? 0) + 1) % 2) * 2 ** -52);',
  },
  {
    name: 'keeps every input',
    from: 'return { y: out, saved };',
    to: '(core.kept ??= []).push(x.slice()); return { y: out, saved };',
  },
  { name: 'works after dispose()', from: 'disposed = true;', to: 'disposed = false;' },
  {
    name: 'float64 rounded to float32',
    from: 'out[k] = gamma[c] * ((x[k] - mean[c]) * invStd[c]) + beta[c];',
    to: 'out[k] = Math.fround(gamma[c] * ((x[k] - mean[c]) * invStd[c]) + beta[c]);',
  },
  {
    name: 'the wrong kind of array',
    from: 'const dx = out.dx ?? core.allocate(dtype, dy.length);',
    to: "const dx = out.dx ?? core.allocate('float64', dy.length);",
  },
  {
    name: 'says that it has no limit',
    from: 'limits: { elements: 2 ** 28 }',
    to: 'limits: { elements: Number.POSITIVE_INFINITY }',
  },
];
