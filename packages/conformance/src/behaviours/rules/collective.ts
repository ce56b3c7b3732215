// Several layers of a backend that normalise as one: moments and sums of other batches come between its stages.
import {
  type BatchNorm,
  extentOf,
  type FloatArray,
  type Gradients,
  inProcessCollective,
  type LayerOptions,
} from '@batchnorm/core-api';
import { channelOf } from '../../channels.js';
import { type Check, compare, identical, outcome } from '../../compare.js';
import { type Expectation, LayerModel } from '../../programs/layer-model.js';
import { notLarge, type Rule } from '../rule.js';
import type { Results, Scene } from '../scene.js';

export const collectiveRules: readonly Rule[] = [
  {
    name: 'ranks of a collective are one layer on the batches of all',
    why: 'uneven parts of a batch: results within their bounds, and the same running statistics on every rank, to the bit',
    exempt: notLarge('what ranks exchange does not grow with their batches'),
    run: ranksAreOneLayer,
  },
  {
    name: 'what is not finite on one rank',
    why: 'spreads to its channel on the others, whose own numbers are finite, and to no other channel',
    exempt: notLarge('what ranks exchange does not grow with their batches'),
    run: async (scene) => [...(await spreads(scene, 'x')), ...(await spreads(scene, 'dy'))],
  },
];

async function ranksAreOneLayer(scene: Scene): Promise<Check[]> {
  const { shape, dtype, channels, memory } = scene;
  const options: LayerOptions = { numFeatures: channels, dtype, epsilon: 1e-3, momentum: 0.5, emptyBatch: 'pass' };
  const layers = inProcessCollective(3).map((collective) => scene.layer({ ...options, collective }));
  const model = new LayerModel(options, scene.backend);
  model.gamma.set(layers[0]!.gamma);
  model.beta.set(layers[0]!.beta);
  const checks: Check[] = [];
  for (const step of [1, 2]) {
    const { x, dy } = scene.batch(step);
    const y = model.forward(x, shape, { training: true, track: true, memory: memory.kind }) as Expectation;
    const { dx, dgamma, dbeta } = model.backward(dy);
    const expected = { y, dx, dgamma, dbeta } as const;
    const received = await jointStep(scene, layers, x, dy);
    for (const [name, { values, tolerance, magnitude }] of Object.entries(expected)) {
      const ofActivation = name === 'y' || name === 'dx';
      const of = ofActivation ? shape : [channels];
      checks.push({
        what: `step ${step}: ${name}`,
        ...compare(
          { data: received[name as keyof typeof expected], shape: of },
          { data: values, shape: of, dtype: ofActivation ? dtype : 'float64', tolerance, magnitude },
        ),
      });
    }
  }
  const states = await Promise.all(layers.map((layer) => layer.state()));
  for (const [rank, { runningMean, runningVariance }] of states.entries()) {
    checks.push(identical(`runningMean of rank ${rank}`, runningMean, states[0]!.runningMean));
    checks.push(identical(`runningVariance of rank ${rank}`, runningVariance, states[0]!.runningVariance));
  }
  const { runningMean, runningVariance } = model.statistics();
  for (const [name, { values, tolerance, magnitude }] of Object.entries({ runningMean, runningVariance })) {
    const data = Float64Array.from(states[0]![name as 'runningMean']);
    const want = { data: values, shape: [channels], dtype: 'float64', tolerance, magnitude } as const;
    checks.push({ what: name, ...compare({ data, shape: [channels] }, want) });
  }
  return checks;
}

/** A step of all layers on their parts of a batch: the first has none of it, the second a third. */
async function jointStep(scene: Scene, layers: readonly BatchNorm[], x: FloatArray, dy: FloatArray): Promise<Results> {
  const [N, ...others] = scene.shape as [number, ...number[]];
  const cuts = [0, 0, Math.floor(N / 3), N];
  const parts = (values: FloatArray) =>
    layers.map((_, rank) => {
      const [begin, end] = [cuts[rank]!, cuts[rank + 1]!];
      const size = values.length / N;
      return scene.put(values.slice(begin * size, end * size), [end - begin, ...others]);
    });
  const [xs, dys] = [await Promise.all(parts(x)), await Promise.all(parts(dy))];
  const ys = await Promise.all(layers.map((layer, rank) => scene.forward(layer, xs[rank]!)));
  const y = await Promise.all(ys.map((part) => scene.memory.read(part)));
  const gradients = await Promise.all(layers.map((layer, rank) => scene.backward(layer, dys[rank]!)));
  const read: Omit<Results, 'y'>[] = [];
  for (const each of gradients) read.push(await scene.read(each as Gradients));
  return {
    y: joined(y),
    dx: joined(read.map(({ dx }) => dx)),
    dgamma: sumOf(read.map(({ dgamma }) => dgamma)),
    dbeta: sumOf(read.map(({ dbeta }) => dbeta)),
  };
}

/** NaN in the last element, which is of the last rank and the last channel. */
async function spreads(scene: Scene, where: 'x' | 'dy'): Promise<Check[]> {
  const { shape, channels } = scene;
  const extent = extentOf(shape, 1);
  const layers = inProcessCollective(3).map((collective) =>
    scene.layer({ trackRunningStatistics: false, emptyBatch: 'pass', collective }),
  );
  const { x, dy } = scene.batch(1);
  const spoiled = { x: x.slice(), dy: dy.slice() };
  spoiled[where][x.length - 1] = Number.NaN;
  const want = await jointStep(scene, layers, x, dy);
  const got = await jointStep(scene, layers, where === 'x' ? spoiled.x : x, where === 'dy' ? spoiled.dy : dy);
  const isSick = (k: number) => channelOf(k, extent) === channels - 1;
  const parts = where === 'x' ? (['y', 'dx'] as const) : (['dx'] as const);
  return parts.flatMap((name) => {
    const finite = got[name].findIndex((value, k) => isSick(k) && Number.isFinite(value));
    const others = (values: FloatArray) => values.filter((_, k) => !isSick(k));
    return [
      outcome(`NaN in ${where}: ${name} of its channel`, finite < 0, `[${finite}]: received ${got[name][finite]}`),
      identical(`NaN in ${where}: ${name} of other channels`, others(got[name]), others(want[name])),
    ];
  });
}

function joined(parts: readonly FloatArray[]): FloatArray {
  const all = new (parts[0]!.constructor as Float32ArrayConstructor)(
    parts.reduce((sum, { length }) => sum + length, 0),
  );
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** Gradients of parameters are each rank's own. */
function sumOf(vectors: readonly FloatArray[]): FloatArray {
  return Float64Array.from(vectors[0]!, (_, c) => vectors.reduce((sum, vector) => sum + vector[c]!, 0));
}
