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
    dispose: () => {
      disposed = true;
    },
  };

  function kernelsFor(plan) {
    const { extent, dtype } = plan;
    const { outer, channels, inner } = extent;
    const count = outer * inner;
    const vector = () => new Float64Array(channels);

    /** The sum over channel c, in blocks of 256 values. */
    function sum(c, term) {
      let total = 0;
      let block = 0;
      let n = 0;
      for (let o = 0; o < outer; o++) {
        for (let i = 0; i < inner; i++) {
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

    function forEach(visit) {
      for (let k = 0; k < outer * channels * inner; k++) visit(k, Math.floor(k / inner) % channels);
    }

    return {
      moments({ x, epsilon }) {
        assertUsable();
        const [mean, m2] = [vector(), vector()];
        for (let c = 0; c < channels; c++) {
          const pivot = x[c * inner];
          const offset = sum(c, (k) => x[k] - pivot) / count;
          mean[c] = pivot + offset;
          m2[c] = sum(c, (k) => (x[k] - pivot - offset) ** 2);
        }
        core.assertMomentsInRange({ count, mean, m2 }, x, extent, epsilon);
        return { count, mean, m2 };
      },

      normalize({ x, gamma, beta, epsilon, y, by: { batch, given } }) {
        assertUsable();
        if (batch) core.assertMomentsInRange(batch, x, extent, epsilon);
        const { mean } = batch ?? given;
        const variance = given?.variance ?? batch.m2.map((square) => square / batch.count);
        const out = y ?? core.allocate(dtype, x.length);
        const invStd = variance.map((value) => (value + epsilon === 0 ? 0 : 1 / Math.sqrt(value + epsilon)));
        const scale = invStd.map((value, c) => gamma[c] * value);
        core.assertScaleInRange({ invStd, scale }, gamma);
        forEach((k, c) => {
          out[k] = gamma[c] * ((x[k] - mean[c]) * invStd[c]) + beta[c];
        });
        const M = batch?.count;
        const saved = { x, M, mean: mean.slice(), invStd, gamma: gamma.slice(), dispose() {} };
        return { y: out, saved };
      },

      gradientSums({ saved: { x, mean, invStd }, dy }) {
        assertUsable();
        const sums = { dgamma: vector(), dbeta: vector() };
        for (let c = 0; c < channels; c++) {
          sums.dgamma[c] = sum(c, (k) => dy[k] * ((x[k] - mean[c]) * invStd[c]));
          sums.dbeta[c] = sum(c, (k) => dy[k]);
        }
        return sums;
      },

      inputGradient({ saved, dy, sums, total, ...out }) {
        assertUsable();
        const { x, M, mean, invStd, gamma } = saved;
        if (sums) core.assertBackwardInRange(saved, extent, dy, sums, total);
        const dgamma = out.dgamma ?? vector();
        const dbeta = out.dbeta ?? vector();
        if (sums) {
          dgamma.set(sums.dgamma);
          dbeta.set(sums.dbeta);
        }
        const dx = out.dx ?? core.allocate(dtype, dy.length);
        forEach((k, c) => {
          const xHat = (x[k] - mean[c]) * invStd[c];
          const rest = total ? total.dbeta[c] / M + (xHat * total.dgamma[c]) / M : 0;
          dx[k] = gamma[c] * invStd[c] * (dy[k] - rest);
        });
        return { dx, dgamma, dbeta };
      },

      dispose() {},
    };
  }
}
