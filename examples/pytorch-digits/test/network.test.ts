// The model of PyTorch gives PyTorch's logits here, also folded, and is as accurate when it has been recalibrated.
import { createJsBackend } from '@batchnorm/backend-js';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { digits } from '../src/digits.js';
import { byPyTorch, countCorrect, largestDifference } from '../src/evaluation.js';
import { convolve, type Images, linear, type Parameters, pool, rectify } from '../src/images.js';
import {
  dispose,
  foldNetwork,
  infer,
  loadNetwork,
  type Network,
  recalibrate,
  resetStatistics,
} from '../src/network.js';

const backend = createJsBackend();
const { training, test } = digits();
const pyTorch = await byPyTorch();
let network: Network;

beforeEach(async () => {
  network = await loadNetwork(backend);
});
afterEach(() => dispose(network));
afterAll(() => backend.dispose());

async function correctBy(network: Network): Promise<number> {
  return countCorrect((await infer(network, test.images)).data, test.labels);
}

describe('loaded', () => {
  /** PyTorch computed in float32, u = 2⁻²⁴: a thousand u, of logits up to 22. */
  const tolerance = 1000 * 2 ** -24;

  it("gives PyTorch's logits, and its accuracy", async () => {
    const { data } = await infer(network, test.images);
    expect(data).toHaveLength(pyTorch.logits.length);
    expect(largestDifference(data, pyTorch.logits)).toBeLessThan(tolerance);
    expect(countCorrect(data, test.labels)).toBe(pyTorch.correct);
  });

  it("with PyTorch's default eps, which is not the model's, gives others", async () => {
    const other = await loadNetwork(backend, { eps: 1e-5, momentum: 0.1 });
    const { data } = await infer(other, test.images);
    await dispose(other);
    expect(largestDifference(data, pyTorch.logits)).toBeGreaterThan(100 * tolerance);
  });
});

it('is spoiled without its running statistics, and recalibrated right again within a percent', async () => {
  await resetStatistics(network);
  expect(await correctBy(network)).toBeLessThan(0.5 * pyTorch.correct);
  await recalibrate(network, training.images);
  expect(Math.abs((await correctBy(network)) - pyTorch.correct)).toBeLessThanOrEqual(0.01 * test.labels.length);
});

describe('folded', () => {
  /** How many logits of `folded` are farther from those of the network than folding explains. */
  async function countFar(folded: Network): Promise<number> {
    const { data: expected } = await infer(network, test.images);
    const { data } = await infer(folded, test.images);
    const { data: bound } = boundOfFolding(network, folded, test.images);
    expect(bound).toHaveLength(expected.length);
    return expected.filter((z, k) => !(Math.abs(data[k]! - z) <= bound[k]!)).length;
  }

  it('has no batch norm, gives the same logits within a bound, and the same accuracy', async () => {
    const folded = await foldNetwork(network);
    expect(folded.stages.filter((stage) => stage.batchNorm)).toEqual([]);
    expect(await countFar(folded)).toBe(0);
    expect(await correctBy(folded)).toBe(pyTorch.correct);
  });

  it('with another eps is beyond the bound', async () => {
    const other = await loadNetwork(backend, { eps: 1e-5, momentum: 0.1 });
    const folded = await foldNetwork(other);
    await dispose(other);
    expect(await countFar(folded)).toBeGreaterThan(0.9 * pyTorch.logits.length);
  });
});

/**
 * By how much logits of `folded` and of `network` differ at most. A difference d before a convolution is at most |W'| · d
 * after it, and W' and b', rounded to float32, add u · (Σ |W'| · |x| + |b'|): docs/weights.md. Both networks sum n terms in
 * float64, which adds 2n roundoffs, a few for the rest, and 2⁻⁴⁸ = 32 · 2⁻⁵³ for what is of order u²; unfolded, beta and
 * the mean's share come one by one, the latter at most |b'| + |beta|. ReLU and pooling enlarge no difference.
 * No x is negative.
 */
function boundOfFolding(network: Network, folded: Network, images: Images): Images {
  const u = 2 ** -24;
  let x = images;
  let d: Images = { ...images, data: new Float64Array(images.data.length) };
  folded.stages.forEach(({ convolution }, i) => {
    const { weight, bias } = sizesOf(convolution);
    const beta = network.stages[i]!.batchNorm!.beta;
    const own = convolve(x, { weight, bias });
    const carried = convolve(d, { weight });
    const [, C, H, W] = own.shape;
    const n = weight.data.length / C;
    const roundoffs = (2 * n + 64) * 2 ** -53;
    const data = own.data.map((size, k) => {
      const c = Math.floor(k / (H * W)) % C;
      return carried.data[k]! * (1 + 2 * u) + u * size + roundoffs * (size + 2 * Math.abs(beta[c]!));
    });
    x = pool(rectify(convolve(x, convolution)));
    d = pool({ ...own, data });
  });
  const { weight, bias } = sizesOf(folded.output);
  const sizes = linear(x, { weight, bias }).data;
  const carried = linear(d, { weight });
  const roundoffs = (2 * x.shape[1] + 64) * 2 ** -53;
  return { ...carried, data: carried.data.map((difference, k) => difference + roundoffs * sizes[k]!) };
}

function sizesOf({ weight, bias }: Parameters): Required<Parameters> {
  const absolute = ({ data, shape }: Parameters['weight']) => ({ data: data.map(Math.abs), shape });
  return { weight: absolute(weight), bias: absolute(bias!) };
}
