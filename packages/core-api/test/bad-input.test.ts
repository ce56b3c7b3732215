// Every refusal: its code, its message, and that nothing has changed.
import { describe, expect, it } from 'vitest';
import {
  BatchNorm,
  type BatchNormOptions,
  type BatchNormState,
  type DeviceTensor,
  type ErrorCode,
  type Tensor,
} from '../src/index.js';
import { expectError, filled, tensor } from './inputs.js';
import { ReferenceBackend } from './reference-backend.js';

const C = 3;
const x = filled([4, C]);
const dy = filled([4, C], 2);

/** JavaScript callers have no types to stop them. */
const wrong = <T>(value: unknown): T => value as T;

describe('a layer that is constructed with', () => {
  const cases: Record<string, [ErrorCode, Record<string, unknown>, RegExp]> = {
    'no backend': ['INVALID_OPTION', { backend: undefined }, /backend undefined/],
    'an object that is no backend': ['INVALID_OPTION', { backend: {} }, /backend Object/],
    'a backend of an older contract': [
      'INVALID_OPTION',
      { backend: { contractVersion: 1, name: 'old', prepare() {} } },
      /^received a backend 'old' of contractVersion 1, expected contractVersion 2: install a newer version of the backend$/,
    ],
    'a backend of a newer contract': [
      'INVALID_OPTION',
      { backend: { contractVersion: 3, name: 'new', prepare() {} } },
      /^received a backend 'new' of contractVersion 3, .* install a newer version of @batchnorm\/core-api$/,
    ],
    'a contract without a backend': [
      'INVALID_OPTION',
      { backend: { contractVersion: 2 } },
      /expected a backend of contractVersion 2$/,
    ],
    'no features': ['INVALID_OPTION', { numFeatures: 0 }, /numFeatures 0/],
    'half a feature': ['INVALID_OPTION', { numFeatures: 1.5 }, /numFeatures 1.5/],
    'features as text': ['INVALID_OPTION', { numFeatures: '3' }, /numFeatures '3'/],
    'features as a bigint': ['INVALID_OPTION', { numFeatures: 3n }, /numFeatures 3n, expected/],
    'NaN epsilon': ['INVALID_OPTION', { epsilon: Number.NaN }, /epsilon NaN/],
    'negative epsilon': ['INVALID_OPTION', { epsilon: -1e-9 }, /epsilon -1e-9/],
    'an axis that no tensor has': ['INVALID_OPTION', { axis: 1e9 }, /axis 1000000000/],
    'a function whose name is a symbol for an axis': [
      'INVALID_OPTION',
      { axis: Object.defineProperty(() => 1, 'name', { value: Symbol('name') }) },
      /axis function/,
    ],
    'a symbol for a momentum': ['INVALID_OPTION', { momentum: Symbol('m') }, /Symbol\(m\)/],
    'an object without prototype for an axis': ['INVALID_OPTION', { axis: Object.create(null) }, /axis object/],
    'more features than the backend has elements': ['LIMIT_EXCEEDED', { numFeatures: 2 ** 33 }, /8589934592/],
    'scale that is no boolean': ['INVALID_OPTION', { scale: 1 }, /scale 1/],
    'infinite epsilon': ['INVALID_OPTION', { epsilon: Number.POSITIVE_INFINITY }, /epsilon Infinity/],
    'NaN momentum': ['INVALID_OPTION', { momentum: Number.NaN }, /momentum NaN/],
    'a momentum above 1': ['INVALID_OPTION', { momentum: 1.1 }, /momentum 1.1/],
    'a momentum that is no number': ['INVALID_OPTION', { momentum: 'simple' }, /'cumulative'/],
    'a broken axis': ['INVALID_OPTION', { axis: 0.5 }, /axis 0.5/],
    'affine as a number': ['INVALID_OPTION', { affine: 1 }, /affine 1/],
    'null for trackRunningStatistics': [
      'INVALID_OPTION',
      { trackRunningStatistics: null },
      /trackRunningStatistics null/,
    ],
    'an unknown variance': [
      'INVALID_OPTION',
      { varianceEstimator: 'biased' },
      /^received varianceEstimator 'biased', expected 'population' or 'sample'$/,
    ],
    'an unknown variance by its old name': [
      'INVALID_OPTION',
      { runningVariance: 'biased' },
      /^received runningVariance 'biased', expected 'population' or 'sample'$/,
    ],
    'two variances that differ': [
      'INVALID_OPTION',
      { varianceEstimator: 'population', runningVariance: 'sample' },
      /^received runningVariance 'sample', expected 'population', as varianceEstimator says$/,
    ],
    'an unknown dtype': ['INVALID_OPTION', { dtype: 'bfloat16' }, /'float16' or 'float32' or 'float64'/],
    'an unknown singleValue': ['INVALID_OPTION', { singleValue: 'throw' }, /'allow' or 'reject'/],
    'a misspelt option': ['INVALID_OPTION', { eps: 1e-3 }, /option 'eps'/],
    'a dtype that the backend lacks': [
      'DTYPE_MISMATCH',
      { backend: new ReferenceBackend({ dtypes: ['float32'] }), dtype: 'float64' },
      /'reference'/,
    ],
  };
  for (const [name, [code, options, message]] of Object.entries(cases)) {
    it(`${name} is refused with ${code}`, () =>
      expectError(
        code,
        () => new BatchNorm({ backend: new ReferenceBackend(), numFeatures: C, ...options } as BatchNormOptions),
        message,
      ));
  }

  it('no options at all is refused with INVALID_OPTION', () =>
    expectError('INVALID_OPTION', () => new BatchNorm(wrong(undefined))));
});

interface BadCall {
  readonly code: ErrorCode;
  readonly message: RegExp;
  readonly options?: Partial<BatchNormOptions>;
  readonly attempt: (layer: BatchNorm, out: Tensor, backend: ReferenceBackend) => unknown;
}

const shared = new Float32Array(24);
const badCalls: Record<string, BadCall> = {
  'forward without a tensor': {
    code: 'INVALID_TENSOR',
    message: /x of undefined/,
    attempt: (layer) => layer.forward(wrong<Tensor>(undefined)),
  },
  'forward of a plain array': {
    code: 'INVALID_TENSOR',
    message: /array of 12/,
    attempt: (layer, out) => layer.forward({ data: wrong(Array(12).fill(0)), shape: [4, C] }, { out }),
  },
  'forward of data that do not fill the shape': {
    code: 'INVALID_TENSOR',
    message: /11 elements, expected 12/,
    attempt: (layer, out) => layer.forward({ data: new Float32Array(11), shape: [4, C] }, { out }),
  },
  'forward of a negative size': {
    code: 'INVALID_TENSOR',
    message: /\[-4, 3\]/,
    attempt: (layer, out) => layer.forward({ data: new Float32Array(12), shape: [-4, C] }, { out }),
  },
  'forward without a shape': {
    code: 'INVALID_TENSOR',
    message: /shape undefined/,
    attempt: (layer) => layer.forward(wrong({ data: new Float32Array(12) })),
  },
  'forward of a transferred buffer': {
    code: 'INVALID_TENSOR',
    message: /0 elements, expected 12/,
    attempt: (layer, out) => {
      const gone = filled([4, C]);
      structuredClone(gone.data, { transfer: [gone.data.buffer as ArrayBuffer] });
      return layer.forward(gone, { out });
    },
  },
  'forward of integers': {
    code: 'DTYPE_MISMATCH',
    message: /Int32Array/,
    attempt: (layer, out) => layer.forward({ data: wrong(new Int32Array(12)), shape: [4, C] }, { out }),
  },
  'forward of float64 in a float32 layer': {
    code: 'DTYPE_MISMATCH',
    message: /float64, expected float32/,
    attempt: (layer, out) => layer.forward({ data: new Float64Array(12), shape: [4, C] }, { out }),
  },
  'forward of rank 1': {
    code: 'SHAPE_MISMATCH',
    message: /\[3\]/,
    attempt: (layer) => layer.forward(tensor([C], [1, 2, 3])),
  },
  'forward of a rank that lacks the axis': {
    code: 'SHAPE_MISMATCH',
    message: /axis 3/,
    options: { axis: 3 },
    attempt: (layer) => layer.forward(x),
  },
  'forward of another number of channels': {
    code: 'SHAPE_MISMATCH',
    message: /4 channels on axis 1, expected 3/,
    attempt: (layer) => layer.forward(filled([C, 4])),
  },
  'forward of no samples': {
    code: 'EMPTY_BATCH',
    message: /\[0, 3\]/,
    attempt: (layer) => layer.forward(tensor([0, C], [])),
  },
  'inference of no samples': {
    code: 'EMPTY_BATCH',
    message: /\[0, 3\]/,
    attempt: (layer) => layer.forward(tensor([0, C], []), { training: false }),
  },
  'forward of more than the backend holds': {
    code: 'LIMIT_EXCEEDED',
    message: /120 elements, expected at most 100/,
    attempt: (layer) => layer.forward(filled([40, C])),
  },
  'a single value where it is to be rejected': {
    code: 'SINGLE_VALUE',
    message: /'reject'/,
    options: { singleValue: 'reject' },
    attempt: (layer) => layer.forward(filled([1, C])),
  },
  'a single value with the sample variance': {
    code: 'SINGLE_VALUE',
    message: /M\/\(M−1\)/,
    options: { varianceEstimator: 'sample' },
    attempt: (layer) => layer.forward(filled([1, C])),
  },
  'training on NaN': {
    code: 'NON_FINITE_STATISTICS',
    message: /mean of channel 1 is NaN/,
    attempt: (layer, out) => layer.forward(tensor([4, C], [1, 2, 3, 4, Number.NaN, 6, 7, 8, 9, 10, 11, 12]), { out }),
  },
  'training on infinity': {
    code: 'NON_FINITE_STATISTICS',
    message: /mean of channel 2 is Infinity/,
    attempt: (layer, out) =>
      layer.forward(tensor([4, C], [1, 2, 3, 4, 5, Number.POSITIVE_INFINITY, 7, 8, 9, 1, 1, 1]), { out }),
  },
  'a training flag that is no boolean': {
    code: 'INVALID_OPTION',
    message: /training 'no'/,
    attempt: (layer, out) => layer.forward(x, { training: wrong('no'), out }),
  },
  'a misspelt call option': {
    code: 'INVALID_OPTION',
    message: /option 'train'/,
    attempt: (layer) => layer.forward(x, wrong({ train: false })),
  },
  'options that are no object': {
    code: 'INVALID_OPTION',
    message: /false/,
    attempt: (layer) => layer.forward(x, wrong(false)),
  },
  'out of another shape': {
    code: 'SHAPE_MISMATCH',
    message: /out of shape \[3, 4\], expected \[4, 3\]/,
    attempt: (layer) => layer.forward(x, { out: filled([C, 4]) }),
  },
  'out of another dtype': {
    code: 'DTYPE_MISMATCH',
    message: /out of float64/,
    attempt: (layer) => layer.forward(x, { out: { data: new Float64Array(12), shape: [4, C] } }),
  },
  'training in place': {
    code: 'INVALID_TENSOR',
    message: /out that is x in training/,
    attempt: (layer, out) => layer.forward(out, { out }),
  },
  'inference into memory that overlaps x': {
    code: 'INVALID_TENSOR',
    message: /out that shares memory with x/,
    attempt: (layer) => {
      const [a, b] = [shared.subarray(0, 12), shared.subarray(3, 15)];
      return layer.forward({ data: a, shape: [4, C] }, { training: false, out: { data: b, shape: [4, C] } });
    },
  },
  'a backward of another shape': {
    code: 'SHAPE_MISMATCH',
    message: /dy of shape \[2, 6\], expected \[4, 3\]/,
    attempt: (layer) => layer.backward(filled([2, 6])),
  },
  'a backward of another dtype': {
    code: 'DTYPE_MISMATCH',
    message: /dy of float64/,
    attempt: (layer) => layer.backward({ data: new Float64Array(12), shape: [4, C] }),
  },
  'a backward of no tensor': {
    code: 'INVALID_TENSOR',
    message: /dy of null/,
    attempt: (layer) => layer.backward(wrong(null)),
  },
  'a device dy after a host x': {
    code: 'INVALID_TENSOR',
    message: /dy on the device, expected one on the host/,
    attempt: (layer, _out, backend) => layer.backward(wrong(backend.upload(dy))),
  },
  'dx over the saved x': {
    code: 'INVALID_TENSOR',
    message: /dx that shares memory with x/,
    attempt: (layer) => layer.backward(dy, { out: { dx: x } }),
  },
  'dgamma and dbeta in one buffer': {
    code: 'INVALID_TENSOR',
    message: /dgamma that shares memory with dbeta/,
    attempt: (layer) => {
      const both = new Float64Array(C);
      return layer.backward(dy, { out: { dgamma: both, dbeta: both } });
    },
  },
  'a dgamma of float32': {
    code: 'INVALID_TENSOR',
    message: /out.dgamma Float32Array\(3\), expected Float64Array\(3\)/,
    attempt: (layer) => layer.backward(dy, { out: { dgamma: wrong(new Float32Array(C)) } }),
  },
  'a dbeta of another length': {
    code: 'INVALID_TENSOR',
    message: /out.dbeta Float64Array\(2\)/,
    attempt: (layer) => layer.backward(dy, { out: { dbeta: new Float64Array(2) } }),
  },
  'a misspelt gradient': {
    code: 'INVALID_OPTION',
    message: /'dGamma'/,
    attempt: (layer) => layer.backward(dy, { out: wrong({ dGamma: new Float64Array(C) }) }),
  },
  'a device tensor of another backend': {
    code: 'FOREIGN_TENSOR',
    message: /x of another backend/,
    attempt: (layer) => layer.forward(new ReferenceBackend().upload(x)),
  },
  'a disposed device tensor': {
    code: 'DISPOSED',
    message: /disposed device tensor/,
    attempt: (layer, _out, backend) => {
      const onDevice = backend.upload(x);
      onDevice.dispose();
      return layer.forward(onDevice);
    },
  },
};

describe('a call that fails changes nothing:', () => {
  for (const [name, { code, message, options, attempt }] of Object.entries(badCalls)) {
    it(`${name} is ${code}`, async () => {
      const backend = new ReferenceBackend({ maxElements: 100 });
      const layer = new BatchNorm({ backend, numFeatures: C, ...options });
      layer.gamma.set([1, 2, 3]);
      layer.beta.set([4, 5, 6]);
      // A layer whose axis no input has can't have had a forward.
      const hasForward = options?.axis === undefined;
      if (hasForward) await layer.forward(x);
      const gradients = hasForward ? await layer.backward(dy) : undefined;
      const before = await layer.state();
      const out = filled([4, C], 7);
      const outBefore = out.data.slice();

      await expectError(code, () => attempt(layer, out, backend), message);

      expect(await layer.state()).toEqual(before);
      expect(out.data).toEqual(outBefore);
      if (hasForward) expect(await layer.backward(dy)).toEqual(gradients);
    });
  }
});

describe('FORWARD_REQUIRED', () => {
  const newLayer = () => new BatchNorm({ backend: new ReferenceBackend(), numFeatures: C });

  it('answers a backward before any forward', () => expectError('FORWARD_REQUIRED', () => newLayer().backward(dy)));

  it('answers a backward after an inference in place, because x is gone', async () => {
    const layer = newLayer();
    const inPlace = filled([4, C]);
    expect(await layer.forward(inPlace, { training: false, out: inPlace })).toBe(inPlace);
    await expectError('FORWARD_REQUIRED', () => layer.backward(dy));
  });

  it('answers a backward whose x was transferred', async () => {
    const layer = newLayer();
    const sent = filled([4, C]);
    await layer.forward(sent);
    structuredClone(sent.data, { transfer: [sent.data.buffer as ArrayBuffer] });
    await expectError('FORWARD_REQUIRED', () => layer.backward(dy), /transferred/);
  });

  it('answers a backward whose x was disposed on the device', async () => {
    const backend = new ReferenceBackend();
    const layer = new BatchNorm({ backend, numFeatures: C });
    const onDevice: DeviceTensor = backend.upload(x);
    await layer.forward(onDevice);
    onDevice.dispose();
    await expectError('FORWARD_REQUIRED', () => layer.backward(backend.upload(dy)), /disposed/);
  });
});

describe('DISPOSED', () => {
  const calls: Record<string, (layer: BatchNorm, state: BatchNormState) => unknown> = {
    forward: (layer) => layer.forward(x),
    backward: (layer) => layer.backward(dy),
    settle: (layer) => layer.settle(),
    state: (layer) => layer.state(),
    loadState: (layer, state) => layer.loadState(state),
  };
  for (const [name, call] of Object.entries(calls)) {
    it(`answers ${name}() after dispose()`, async () => {
      const layer = new BatchNorm({ backend: new ReferenceBackend(), numFeatures: C });
      await layer.forward(x);
      const state = await layer.state();
      await layer.dispose();
      await expectError('DISPOSED', () => call(layer, state));
      expect([...layer.runningMean]).toEqual(state.runningMean);
    });
  }

  it('does not answer a second dispose()', async () => {
    const layer = new BatchNorm({ backend: new ReferenceBackend(), numFeatures: C });
    await layer.dispose();
    await expect(layer.dispose()).resolves.toBeUndefined();
  });
});
