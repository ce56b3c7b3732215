// Golden files of the format are read; others are named, with the reason.
import { describe, expect, it } from 'vitest';
import { FixtureFormatError, parseFixtureFile } from '../src/index.js';

const golden = (...shape: number[]) => ({ shape, data: new Array(shape.reduce((a, b) => a * b, 1)).fill(1) });
const step = { x: golden(2, 3), y: golden(2, 3), dy: golden(2, 3), dx: golden(2, 3), dgamma: golden(3) };
const seed = {
  name: 'a',
  numFeatures: 3,
  epsilon: 1e-5,
  momentum: 0.9,
  gamma: golden(3),
  beta: golden(3),
  steps: [step],
};
const torch = { ...seed, momentum: undefined, torchMomentum: 0.1, affine: true, trackRunningStats: true };
const parse = (...cases: unknown[]) => parseFixtureFile('mine.json', { format: 1, cases }).cases;

describe('a seed case', () => {
  it('averages the population variance and keeps the fraction momentum', () => {
    expect(parse(seed)[0]?.options).toMatchObject({
      momentum: 0.9,
      runningVariance: 'population',
      axis: 1,
      affine: true,
    });
  });
});

describe('a PyTorch case', () => {
  it('averages the sample variance; its momentum is the other fraction', () => {
    expect(parse(torch)[0]?.options).toMatchObject({ momentum: 0.9, runningVariance: 'sample', axis: 1 });
  });

  it('averages all batches alike when its momentum is null', () => {
    expect(parse({ ...torch, torchMomentum: null })[0]?.options).toMatchObject({ momentum: 'cumulative' });
  });

  it('may be channels-last', () => {
    const last = { x: golden(2, 4, 3), y: golden(2, 4, 3) };
    expect(parse({ ...torch, layout: 'channels-last', steps: [last] })[0]?.options).toMatchObject({ axis: -1 });
  });

  it('may lack parameters, gradients and evaluation', () => {
    const bare = {
      ...torch,
      affine: false,
      gamma: null,
      beta: null,
      steps: [{ x: golden(2, 3), y: golden(2, 3), dy: null }],
    };
    expect(parse(bare)[0]).toMatchObject({ gamma: null, inference: null });
  });
});

describe('a file that is malformed is named, with the place and the reason:', () => {
  const malformed: Record<string, [json: unknown, message: RegExp]> = {
    'no object': [[], /mine.json/],
    'another format': [{ format: 2, cases: [seed] }, /mine.json.format: .*1.*2/],
    'no cases': [{ format: 1, cases: [] }, /mine.json.cases/],
    'a case without a name': [{ format: 1, cases: [seed, { ...seed, name: undefined }] }, /cases\[1\].name/],
    'a case without a momentum': [{ format: 1, cases: [{ ...seed, momentum: undefined }] }, /cases\[0\].momentum/],
    'no features': [{ format: 1, cases: [{ ...seed, numFeatures: 0 }] }, /numFeatures/],
    'data that do not fill the shape': [
      { format: 1, cases: [{ ...seed, steps: [{ ...step, y: { shape: [2, 3], data: [1, 2] } }] }] },
      /steps.0.y: data/,
    ],
    'null, as JSON writes NaN': [
      { format: 1, cases: [{ ...seed, gamma: { shape: [3], data: [1, null, 3] } }] },
      /gamma.data.1.*null/,
    ],
    'gradients without dy': [{ format: 1, cases: [{ ...seed, steps: [{ ...step, dy: undefined }] }] }, /without a dy/],
    'parameters of another length': [{ format: 1, cases: [{ ...seed, gamma: golden(4) }] }, /gamma.*\[4\].*\[3\]/],
    'y of another shape than x': [
      { format: 1, cases: [{ ...seed, steps: [{ ...step, y: golden(3, 2) }] }] },
      /steps\[0\].y/,
    ],
    'channels elsewhere': [
      { format: 1, cases: [{ ...seed, steps: [{ x: golden(3, 2), y: golden(3, 2) }] }] },
      /axis 1/,
    ],
  };
  for (const [name, [json, message]] of Object.entries(malformed)) {
    it(name, () => {
      expect(() => parseFixtureFile('mine.json', json)).toThrow(FixtureFormatError);
      expect(() => parseFixtureFile('mine.json', json)).toThrow(/mine\.json/);
      expect(() => parseFixtureFile('mine.json', json)).toThrow(message);
    });
  }
});
