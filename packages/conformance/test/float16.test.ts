// What the kit says of right backends of float16; of wrong ones see wrong-backends.
import { type Backend, BatchNormError, numbersOf } from '@batchnorm/core-api';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { runCase } from '../src/conformance.js';
import { float16Cases } from '../src/float16/float16-cases.js';
import { createFloat16Backend } from './wrong-backends/float16-backend.js';
import { adapt } from './wrong-backends/wrap.js';

/** Why cases did not pass, and how many passed. */
async function verdicts(backend: Backend = createFloat16Backend(), part = '') {
  const results = [];
  for (const one of float16Cases.filter(({ name }) => name.includes(part))) {
    results.push(await runCase(one, { backend, dtype: 'float16', create: undefined }));
  }
  const others = results.filter(({ status }) => status !== 'passed');
  return {
    passed: results.length - others.length,
    others: others.map(({ status, name, code, messages }) => `${status} ${name}: ${code ?? messages[0]}`),
  };
}

afterEach(() => void vi.unstubAllGlobals());

describe('the cases of float16', () => {
  it('pass on a right backend', async () => {
    const { passed, others } = await verdicts();
    expect(others).toEqual(['skipped a Float16Array gives a Float16Array: this engine has no Float16Array']);
    expect(passed).toBe(float16Cases.length - 1);
  }, 60_000);

  it('pass on one that computes in float64, and rounds once', async () => {
    const wide = createFloat16Backend({ decode: (bits) => Float64Array.from(bits, numberOf) });
    expect((await verdicts(wide, 'sizes [3')).others).toEqual([]);
  });

  it('ask for the refusal of device tensors where there are none', async () => {
    const right = createFloat16Backend();
    const onHost = adapt(right, {
      capabilities: { ...right.capabilities, deviceTensors: false },
      upload: () => Promise.reject(new BatchNormError('UNSUPPORTED', 'received upload(), expected host tensors')),
    });
    const { others } = await verdicts(onHost, 'device');
    expect(others.length).toBeGreaterThan(10);
    for (const line of others) expect(line).toMatch(/^refused .*: UNSUPPORTED$/);
  });

  it('do not ask for what a backend lacks', async () => {
    const { allocatedBytes: _, ...right } = createFloat16Backend();
    const alone = { ...right, capabilities: { ...right.capabilities, dtypes: ['float16', 'float64'] } as const };
    const { others } = await verdicts(alone, 'steps beside float32 [host');
    expect(others).toEqual([
      'skipped steps beside float32 [host, rows]: the backend has no float32',
      'skipped steps beside float32 [host, runs]: the backend has no float32',
    ]);
    expect((await verdicts(right, 'half the memory')).others).toEqual([
      'skipped tensors take half the memory [device]: the backend counts no memory',
    ]);
  });
});

const numberOf = (bits: number) => {
  const [sign, exponent, fraction] = [bits >> 15 ? -1 : 1, (bits >> 10) & 31, (bits & 1023) / 1024];
  return sign * (exponent ? (1 + fraction) * 2 ** (exponent - 15) : fraction * 2 ** -14);
};

describe('where the engine has Float16Array', () => {
  /** Its bits are those of a Uint16Array, which is all that the kit and the layer look at. */
  class BitsAsFloat16Array extends Uint16Array {
    override get [Symbol.toStringTag]() {
      return 'Float16Array' as 'Uint16Array';
    }
  }

  it('one gives one', async () => {
    vi.stubGlobal('Float16Array', BitsAsFloat16Array);
    expect(await verdicts(undefined, 'Float16Array')).toEqual({ passed: 1, others: [] });
  });

  it('one that is read from the beginning of its buffer is found', async () => {
    vi.stubGlobal('Float16Array', BitsAsFloat16Array);
    const wrong = createFloat16Backend({
      decode: ({ buffer, length }) => numbersOf(new Uint16Array(buffer, 0, length)),
    });
    expect((await verdicts(wrong, 'Float16Array')).passed).toBe(0);
  });
});
