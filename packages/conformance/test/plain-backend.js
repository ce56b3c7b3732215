// A correct backend in plain loops, on the host, float32 and float64: what an author writes first. The mutants are this text
// with one line changed. `core` is @batchnorm/core-api.
export function createPlainBackend(core) {
  let disposed = false;
  const assertUsable = () => {
    if (disposed) throw new core.BatchNormError('DISPOSED', 'received a call after dispose(), expected none');
  };

  return {
    contractVersion: 2,
    name: 'plain',
    capabilities: {
      dtypes: ['float32', 'float64'],
      deviceTensors: false,
      deterministic: true,
      limits: { elements: 2 ** 28 },
    },
    execution: {
      engine: 'JavaScript',
      device: 'cpu',
      threads: 1,
      accumulation: { float32: 'float64', float64: 'float64' },
      fallbackReason: null,
    },
    prepare: (plan) => {
      assertUsable();
      return kernelsFor(plan);
    },
    upload: () => {
      assertUsable();
      throw new core.BatchNormError('UNSUPPORTED', 'received upload(), expected host tensors');
    },
    empty(shape, dtype) {
      assertUsable();
      return core.ordinaryTensor(this, shape, dtype);
    },
    from(tensor) {
      assertUsable();
      return core.copyOn(this, tensor);
    },
    dispose: () => {
      disposed = true;
    },
  };

  function kernelsFor(plan) {
    const { extent, dtype, activation } = plan;
    const { outer, channels, inner } = extent;
    const vector = () => new Float64Array(channels);

    /** The sum over channel c, or over the positions of it that count, in blocks of 256 values. */
    function sum(c, term, mask) {
      let total = 0;
      let block = 0;
      let n = 0;
      for (let o = 0; o < outer; o++) {
        for (let i = 0; i < inner; i++) {
          if (mask && mask.positions[o * inner + i] === 0) continue;
          block += term((o * channels + c) * inner + i);
          n++;
          if (n === 256) {
            total += block;
            block = 0;
            n = 0;
          }
        }
      }
      return total + block;
    }

    /** Whether element k is at a position that counts. */
    function counts(k, mask) {
      return !mask || mask.positions[Math.floor(k / (channels * inner)) * inner + (k % inner)] === 1;
    }

    /** The z of element k, of channel c. */
    function zOf({ x, residual, mean, invStd, gamma, beta }, k, c) {
      const z = gamma[c] * ((x[k] - mean[c]) * invStd[c]) + beta[c];
      return residual ? z + residual[k] : z;
    }

    /** Of element k: `value`, or 0 where z, rounded as y is, is not positive. */
    function behind(saved, k, c, value) {
      if (activation !== 'relu') return value;
      const z = zOf(saved, k, c);
      return (dtype === 'float32' ? Math.fround(z) : z) <= 0 ? 0 : value;
    }

    function forEach(visit) {
      for (let k = 0; k < outer * channels * inner; k++) visit(k, Math.floor(k / inner) % channels);
    }

    return {
      moments({ x, epsilon, mask }) {
        assertUsable();
        const [mean, m2] = [vector(), vector()];
        const count = mask ? mask.count : outer * inner;
        const first = mask ? mask.positions.indexOf(1) : 0;
        const start = Math.floor(first / inner) * channels * inner + (first % inner);
        for (let c = 0; c < channels; c++) {
          const pivot = x[start + c * inner];
          const offset = sum(c, (k) => x[k] - pivot, mask) / count;
          mean[c] = pivot + offset;
          m2[c] = sum(c, (k) => (x[k] - pivot - offset) ** 2, mask);
        }
        core.assertMomentsInRange({ count, mean, m2 }, x, extent, epsilon, mask);
        return { count, mean, m2 };
      },

      normalize({ x, residual, mask, gamma, beta, epsilon, y, by: { batch, given } }) {
        assertUsable();
        if (batch) core.assertMergedMomentsInRange(batch, x, extent, epsilon, mask);
        const { mean } = batch ?? given;
        const variance = given?.variance ?? batch.m2.map((square) => square / batch.count);
        const out = y ?? core.allocate(dtype, x.length);
        const invStd = variance.map((value) => (value + epsilon === 0 ? 0 : 1 / Math.sqrt(value + epsilon)));
        const scale = invStd.map((value, c) => gamma[c] * value);
        core.assertScaleInRange({ invStd, scale }, gamma);
        const vectors = { mean: mean.slice(), invStd, gamma: gamma.slice(), beta: beta.slice() };
        const saved = { x, residual, mask, M: batch?.count, ...vectors, dispose() {} };
        forEach((k, c) => {
          out[k] = behind(saved, k, c, zOf(saved, k, c));
        });
        return { y: out, saved };
      },

      gradientSums({ saved, dy }) {
        assertUsable();
        const { x, mean, invStd } = saved;
        const sums = { dgamma: vector(), dbeta: vector() };
        for (let c = 0; c < channels; c++) {
          sums.dgamma[c] = sum(c, (k) => behind(saved, k, c, dy[k]) * ((x[k] - mean[c]) * invStd[c]));
          sums.dbeta[c] = sum(c, (k) => behind(saved, k, c, dy[k]));
        }
        return sums;
      },

      inputGradient({ saved, dy, sums, total, ...out }) {
        assertUsable();
        const { x, residual, mask, M, mean, invStd, gamma } = saved;
        if (sums) core.assertBackwardInRange(saved, extent, dy, sums, total);
        const dgamma = out.dgamma ?? vector();
        const dbeta = out.dbeta ?? vector();
        if (sums) {
          dgamma.set(sums.dgamma);
          dbeta.set(sums.dbeta);
        }
        const dx = out.dx ?? core.allocate(dtype, dy.length);
        const dresidual = residual && (out.dresidual ?? core.allocate(dtype, dy.length));
        forEach((k, c) => {
          const g = behind(saved, k, c, dy[k]);
          const xHat = (x[k] - mean[c]) * invStd[c];
          const rest = total && counts(k, mask) ? total.dbeta[c] / M + (xHat * total.dgamma[c]) / M : 0;
          if (dresidual) dresidual[k] = g;
          dx[k] = gamma[c] * invStd[c] * (g - rest);
        });
        return { dx, dresidual, dgamma, dbeta };
      },

      dispose() {},
    };
  }
}
