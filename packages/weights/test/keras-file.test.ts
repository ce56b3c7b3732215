// Files of Keras 3.15, and of what is none.
import { createJsBackend } from '@batchnorm/backend-js';
import { BatchNorm } from '@batchnorm/core-api';
import { expectCode } from '@batchnorm/testing/expect-code';
import { unzipSync, zipSync } from 'fflate';
import * as jsfive from 'jsfive';
import { describe, expect, it } from 'vitest';
import { findBatchNorms, openKeras } from '../src/index.js';
import { fixture, type JsonTensor, jsonFixture } from './fixtures.js';

interface ObservedLayer {
  readonly weights: Readonly<Record<string, readonly number[]>>;
  readonly x: JsonTensor;
  readonly y: readonly number[];
}

const observed = await jsonFixture<Readonly<Record<string, ObservedLayer>>>('keras.json');
const archive = await fixture('keras.keras');
const backend = await createJsBackend();
const float32 = (values: readonly number[] = []) => values.map(Math.fround);

describe('a file of Keras', () => {
  it.each(['keras.keras', 'keras.h5'])('has batch norms with their configs: %s', async (name) => {
    const found = findBatchNorms(await openKeras(await fixture(name), jsfive));
    const ownName = (one: { readonly name: string }) => one.name.split('/').at(-1)!;
    expect(found.map(ownName).sort()).toEqual(['bn', 'inner_bn', 'second']);
    for (const one of found) {
      const { weights, x, y } = observed[ownName(one)]!;
      const { options, state } = await one.load();
      expect(state).toMatchObject({
        gamma: float32(weights.gamma),
        beta: float32(weights.beta),
        runningMean: float32(weights.moving_mean),
        runningVariance: float32(weights.moving_variance),
      });
      const isOther = ownName(one) === 'bn';
      expect(options).toMatchObject({ epsilon: isOther ? 0.01 : 0.001, momentum: isOther ? 0.8 : 0.99, axis: -1 });
      const layer = new BatchNorm({ backend, ...options });
      await layer.loadState(state);
      const got = await layer.forward({ data: Float32Array.from(x.data), shape: x.shape }, { training: false });
      // Some ten operations of float32 on either side, with results of size 10 at most.
      for (const [k, value] of y.entries()) expect(Math.abs(got.data[k]! - value)).toBeLessThan(200 * 2 ** -24);
    }
  });

  it('of weights alone has to be told the config, and knows what four vectors are', async () => {
    const file = await openKeras(unzipSync(archive)['model.weights.h5']!, jsfive);
    const [found, ...others] = findBatchNorms(file);
    expect(found!.name).toBe('bn');
    // Of three vectors nothing says whether the first is gamma or beta.
    expect(others).toEqual([]);
    await expectCode('INVALID_OPTION', () => found!.load(), /no axis, no momentum, no epsilon/);
    const { state } = await found!.load({ axis: -1, momentum: 0.8, epsilon: 0.01 });
    expect(state.runningVariance).toEqual(float32(observed.bn!.weights.moving_variance));
  });

  it('is refused where it is none', async () => {
    const files = unzipSync(archive);
    const { 'config.json': _, ...without } = files;
    await expectCode('INVALID_FILE', () => openKeras(zipSync(without), jsfive), /config\.json/);
    await expectCode('INVALID_FILE', () => openKeras(new Uint8Array(1000), jsfive), /jsfive/);
    await expectCode('INVALID_FILE', () => openKeras(new Uint8Array(0), jsfive), /superblock/);
    const json = { ...files, 'config.json': new Uint8Array(3) };
    await expectCode('INVALID_FILE', () => openKeras(zipSync(json), jsfive), /JSON/);
    await expectCode('INVALID_OPTION', () => openKeras(archive, {} as never), /jsfive/);
  });

  it('whose layers have one name has both', async () => {
    class Dataset {
      readonly shape = [2];
      readonly dtype = '<f4';
      readonly value: readonly number[];

      constructor(value: readonly number[]) {
        this.value = value;
      }
    }
    class Group {
      readonly items: Readonly<Record<string, unknown>>;
      readonly attrs: Readonly<Record<string, unknown>>;

      constructor(items: Readonly<Record<string, unknown>>, attrs = {}) {
        this.items = items;
        this.attrs = attrs;
      }

      get keys(): readonly string[] {
        return Object.keys(this.items);
      }

      get(name: string): unknown {
        return this.items[name];
      }
    }
    const layer = (first: number) => {
      const vectors = [0, 1, 2, 3].map((k) => new Dataset([first + k, first]));
      return new Group({ vars: new Group({ ...vectors }, { name: 'bn' }) });
    };
    class File extends Group {
      constructor() {
        super({ layers: new Group({ batch_normalization: layer(1), batch_normalization_1: layer(5) }) });
      }
    }
    const hdf5 = unzipSync(archive)['model.weights.h5']!;
    const file = await openKeras(hdf5, { File, Group, Dataset });
    const found = findBatchNorms(file);
    expect(found.map(({ name }) => name)).toEqual(['bn', 'layers/batch_normalization_1']);
    const { state } = await found[1]!.load({ axis: 1, momentum: 0.9, epsilon: 0.1 });
    expect(state).toMatchObject({ gamma: [5, 5], beta: [6, 5], runningMean: [7, 5], runningVariance: [8, 5] });
  });
});

it('a config that would be large when parsed is refused before that', async () => {
  const entries = unzipSync(archive);
  const config = new TextEncoder().encode(`[${'{},'.repeat(2_000_000)}{}]`);
  const bomb = zipSync({ ...entries, 'config.json': config });
  expect(bomb.length).toBeLessThan(100_000);
  await expectCode('LIMIT_EXCEEDED', () => openKeras(bomb, jsfive), /config of 6000004 characters/);
});

it('Node finds jsfive by itself', async () => {
  const [own, given] = [await openKeras(archive), await openKeras(archive, jsfive)];
  expect([...own.tensors.keys()]).toEqual([...given.tensors.keys()]);
});
