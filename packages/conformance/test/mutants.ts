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
    from: 'm2[c] = sum(c, (k) => (x[k] - pivot - offset) ** 2, mask);',
    to: 'm2[c] = (sum(c, (k) => (x[k] - pivot - offset) ** 2, mask) * count) / Math.max(1, count - 1);',
  },
  {
    name: 'variance as E[x²] − E[x]²',
    from: 'm2[c] = sum(c, (k) => (x[k] - pivot - offset) ** 2, mask);',
    to: 'm2[c] = sum(c, (k) => x[k] ** 2, mask) - count * mean[c] ** 2;',
  },
  {
    name: 'variance as E[x²] − E[x]², clipped at 0',
    from: 'm2[c] = sum(c, (k) => (x[k] - pivot - offset) ** 2, mask);',
    to: 'm2[c] = Math.max(0, sum(c, (k) => x[k] ** 2, mask) - count * mean[c] ** 2);',
  },
  {
    name: 'one pass around the first value, in float32',
    from: 'm2[c] = sum(c, (k) => (x[k] - pivot - offset) ** 2, mask);',
    to: 'm2[c] = count * Math.max(0, Math.fround(sum(c, (k) => (x[k] - pivot) ** 2, mask) / count) - Math.fround(offset ** 2));',
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
    from: 'for (let i = 0; i < inner; i++) {\n          if (mask &&',
    to: 'for (let i = 0; i < Math.min(inner, 1); i++) {\n          if (mask &&',
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
    from: 'const z = gamma[c] * ((x[k] - mean[c]) * invStd[c]) + beta[c];',
    to: 'const z = Math.fround(x[k] * Math.fround(gamma[c] * invStd[c])) + Math.fround(beta[c] - mean[c] * gamma[c] * invStd[c]);',
  },
  { name: 'beta forgotten', from: '* invStd[c]) + beta[c];', to: '* invStd[c]);' },
  { name: '|gamma| for gamma', from: 'const z = gamma[c] *', to: 'const z = Math.abs(gamma[c]) *' },
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
    from: 'const z = gamma[c] * ((x[k] - mean[c]) * invStd[c]) + beta[c];',
    to: 'const z = (gamma[c] * ((x[k] - mean[c]) * invStd[c]) || 0) + beta[c];',
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
    from: 'behind(saved, k, c, dy[k]) * ((x[k] - mean[c]) * invStd[c])',
    to: 'behind(saved, k, c, dy[k]) * x[k]',
  },
  {
    name: 'dgamma not divided by the deviation',
    from: 'behind(saved, k, c, dy[k]) * ((x[k] - mean[c]) * invStd[c])',
    to: 'behind(saved, k, c, dy[k]) * (x[k] - mean[c])',
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
    from: 'const rest = total && counts(k, mask) ? total.dbeta[c] / M + (xHat * total.dgamma[c]) / M : 0;',
    to: 'const by = total ?? sums; const rest = by ? by.dbeta[c] / (outer * inner) + (xHat * by.dgamma[c]) / (outer * inner) : 0;',
  },
  {
    name: 'training backward with constant statistics',
    from: 'const rest = total && counts(k, mask) ? total.dbeta[c] / M + (xHat * total.dgamma[c]) / M : 0;',
    to: 'const rest = 0;',
  },
  {
    name: 'dbeta and dgamma add to what was in out',
    from: 'dbeta.set(sums.dbeta);',
    to: 'dbeta.set(dbeta.map((value, c) => value + sums.dbeta[c]));',
  },
  {
    name: 'gradient sums in float32',
    from: 'sums.dbeta[c] = sum(c, (k) => behind(saved, k, c, dy[k]));',
    to: 'sums.dbeta[c] = Math.fround(sum(c, (k) => behind(saved, k, c, dy[k])));',
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
  { name: 'gamma is not saved', from: 'gamma: gamma.slice(), beta', to: 'gamma, beta' },
  {
    name: 'a saved forward of all layers',
    from: 'const saved = { x, residual, mask, M: batch?.count, ...vectors, dispose() {} };',
    to: 'const saved = Object.assign((core.saved ??= {}), { x, residual, mask, M: batch?.count, ...vectors, dispose() {} });',
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
    to: 'if (given) return this.normalize({ x, residual, gamma, beta, epsilon, y, by: { batch: this.moments({ x }) } }); const { mean } = batch;',
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
    from: 'const z = gamma[c] * ((x[k] - mean[c]) * invStd[c]) + beta[c];',
    to: 'const z = Math.fround(gamma[c] * ((x[k] - mean[c]) * invStd[c]) + beta[c]);',
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
  // Masks, residual and ReLU
  { name: 'a mask ignored in the moments', from: 'if (mask && mask.positions[o * inner + i] === 0) continue;', to: '' },
  { name: 'moments over all for those that count', from: 'mask ? mask.count : outer * inner', to: 'outer * inner' },
  { name: 'a pivot that does not count', from: 'mask ? mask.positions.indexOf(1) : 0', to: '0' },
  { name: 'dx through statistics everywhere', from: 'total && counts(k, mask) ?', to: 'total ?' },
  { name: 'a residual ignored', from: 'return residual ? z + residual[k] : z;', to: 'return z;' },
  { name: 'a residual subtracted', from: 'z + residual[k]', to: 'z - residual[k]' },
  { name: 'dresidual is dy', from: 'dresidual[k] = g;', to: 'dresidual[k] = dy[k];' },
  { name: 'ReLU ignored', from: "activation !== 'relu'", to: 'activation' },
  { name: 'ReLU without a zero', from: "(dtype === 'float32' ? Math.fround(z) : z) <= 0", to: 'z < 0' },
  {
    name: 'ReLU makes 0 of NaN',
    from: "(dtype === 'float32' ? Math.fround(z) : z) <= 0 ? 0 : value",
    to: "(dtype === 'float32' ? Math.fround(z) : z) > 0 ? value : 0",
  },
  { name: 'dbeta of dy', from: 'sum(c, (k) => behind(saved, k, c, dy[k]));', to: 'sum(c, (k) => dy[k]);' },
];
