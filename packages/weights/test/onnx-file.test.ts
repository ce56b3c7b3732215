// Models of ONNX: of PyTorch's exporter, and made by hand field by field.
import { createJsBackend } from '@batchnorm/backend-js';
import { BatchNorm, type Tensor } from '@batchnorm/core-api';
import { expectCode } from '@batchnorm/testing/expect-code';
import { describe, expect, it } from 'vitest';
import { findBatchNorms, fold, type OnnxLayer, openOnnx, openSafetensors, toOnnx, writeOnnx } from '../src/index.js';
import { fixture, jsonFixture } from './fixtures.js';

type Bytes = readonly number[];

const varint = (value: number): Bytes =>
  value < 128 ? [value] : [(value % 128) + 128, ...varint(Math.floor(value / 128))];
const int = (number: number, value: number): Bytes => [...varint(number * 8), ...varint(value)];
const sub = (number: number, ...parts: readonly Bytes[]): Bytes => {
  const bytes = parts.flat();
  return [...varint(number * 8 + 2), ...varint(bytes.length), ...bytes];
};
const text = (number: number, value: string): Bytes => sub(number, [...new TextEncoder().encode(value)]);
const floats = (values: readonly number[]): Bytes => [...new Uint8Array(Float32Array.from(values).buffer)];
const float = (number: number, value: number): Bytes => [...varint(number * 8 + 5), ...floats([value])];

const inputs = ['x', 'scale', 'B', 'mean', 'var'];
const node = (operator: string, names: readonly string[], output: string, ...attributes: readonly Bytes[]) =>
  sub(
    1,
    ...names.map((name) => text(1, name)),
    text(2, output),
    text(4, operator),
    ...attributes.map((one) => sub(5, one)),
  );
const raw = (name: string, values: readonly number[]) =>
  sub(5, int(1, values.length), int(2, 1), text(8, name), sub(9, floats(values)));
const vectors = inputs.slice(1).map((name, k) => raw(name, [k + 1, k + 1.5]));
const model = (...parts: readonly Bytes[]) => Uint8Array.from(sub(7, ...parts));
const epsilon = (value: number) => [...text(1, 'epsilon'), ...float(2, value)];

describe('a model of ONNX', () => {
  it('has the batch norms that PyTorch has exported', async () => {
    const file = await openOnnx(await fixture('model.onnx'));
    const torch = await openSafetensors(await fixture('model.safetensors'));
    const found = findBatchNorms(file);
    expect(found.map(({ channels, convention }) => [channels, convention])).toEqual([
      [3, 'ONNX'],
      [2, 'ONNX'],
    ]);
    for (const [k, name] of ['bn1', 'bn2'].entries()) {
      const { options, state } = await found[k]!.load();
      expect(options).toMatchObject({
        axis: 1,
        varianceEstimator: 'population',
        epsilon: Math.fround(k === 0 ? 1e-3 : 1e-5),
      });
      const expected = async (own: string) => Array.from((await torch.read(`${name}.${own}`)).data, Number);
      expect(state.gamma).toEqual(await expected('weight'));
      expect(state.beta).toEqual(await expected('bias'));
      expect(state.runningMean).toEqual(await expected('running_mean'));
      expect(state.runningVariance).toEqual(await expected('running_var'));
    }
  });

  it.each(['nodes.onnx', 'external.onnx'])(
    'computes here what the reference evaluator of ONNX does: %s',
    async (name) => {
      const { x, z, shape } = await jsonFixture<{ x: number[]; z: number[]; shape: number[] }>('nodes.json');
      const found = findBatchNorms(await openOnnx(await fixture(name), { open: fixture }));
      expect(found.map((one) => one.name)).toEqual(['with defaults', 'with attributes']);
      const backend = await createJsBackend();
      let batch: Tensor = { data: Float32Array.from(x), shape };
      for (const one of found) {
        const { options, state } = await one.load();
        const layer = new BatchNorm({ backend, ...options });
        await layer.loadState(state);
        batch = await layer.forward(batch, { training: false });
      }
      expect(found[1]!.hyperparameters).toEqual({ epsilon: 0.25, momentum: 0.75 });
      // Some ten operations of float32 in each layer on either side, with results of size 10 at most.
      for (const [k, value] of z.entries()) expect(Math.abs(batch.data[k]! - value)).toBeLessThan(400 * 2 ** -24);
    },
  );

  it('is written, and has the same batch norm to the bit', async () => {
    const vector = (...data: number[]) =>
      ({ dtype: 'F32', shape: [data.length], data: Float32Array.from(data) }) as const;
    const layer: OnnxLayer = {
      inputs: {
        scale: vector(0.1, 2),
        B: vector(-0.3, 4),
        input_mean: vector(5, 1e-40),
        input_var: vector(0, 3e38),
      },
      attributes: { epsilon: Math.fround(1e-3), momentum: Math.fround(0.99) },
    };
    const file = await openOnnx(writeOnnx(layer, 4));
    const [found, ...others] = findBatchNorms(file);
    expect(others).toEqual([]);
    expect(toOnnx(await found!.load())).toEqual(layer);
    expect(found!.name).toBe('batch norm');
    const { momentum: _, ...attributes } = layer.attributes;
    expect((await openOnnx(writeOnnx({ ...layer, attributes }, 2))).batchNorms[0]!.attributes.momentum).toBe(
      Math.fround(0.9),
    );
    await expectCode('INVALID_OPTION', () => writeOnnx(layer, 1), /rank 1/);
    const wrong = { ...layer.inputs, scale: { ...vector(1), dtype: 'F16' } as const };
    await expectCode('UNSUPPORTED', () => writeOnnx({ ...layer, inputs: wrong }, 4), /F16/);
  });

  it('whose nodes of Identity are each behind the other is read', async () => {
    const [one, other] = [node('Identity', ['b'], 'a'), node('Identity', ['a'], 'b')];
    const file = await openOnnx(
      model(one, other, node('BatchNormalization', ['x', 'a', 'B', 'mean', 'var'], 'y'), ...vectors),
    );
    await expectCode('UNSUPPORTED', () => findBatchNorms(file)[0]!.load(), /which the graph computes/);
  });

  it('that was exported for inference has the first one folded, as fold() does it', async () => {
    const file = await openOnnx(await fixture('folded.onnx'));
    expect(file.batchNorms.map(({ name }) => name)).toEqual(['/bn2/BatchNormalization']);
    const torch = await openSafetensors(await fixture('model.safetensors'));
    const [found] = findBatchNorms(torch);
    const { data } = await torch.read('conv1.weight');
    const weight = { data: data as Float32Array, shape: [3, 2, 3, 3] };
    const folded = fold({ weight, layout: 'OIHW' }, await found!.load({ eps: 1e-3, momentum: 0.2 }));
    const [name] = [...file.tensors].find(([, { shape }]) => String(shape) === '3,2,3,3')!;
    const exported = (await file.read(name)).data as Float32Array;
    // The exporter computes in float32: a sum, a root, a quotient and a product.
    for (const [k, value] of folded.weight.data.entries()) {
      expect(Math.abs(exported[k]! - value)).toBeLessThanOrEqual(5 * 2 ** -24 * Math.abs(value));
    }
  });

  it('has attributes that its nodes leave out from its operator, and others as they are', async () => {
    const file = await openOnnx(
      model(
        node('BatchNormalization', inputs, 'y'),
        node('BatchNormalization', inputs, 'z', epsilon(0.5), [...text(1, 'training_mode'), ...int(3, 1)]),
        ...vectors,
      ),
    );
    expect(file.batchNorms).toMatchObject([
      { name: 'y', attributes: { epsilon: Math.fround(1e-5), momentum: Math.fround(0.9) } },
      { name: 'z', attributes: { epsilon: 0.5, training_mode: 1 } },
    ]);
    const [first, second] = findBatchNorms(file);
    expect((await first!.load({ epsilon: 0.25 })).options.epsilon).toBe(0.25);
    await expectCode('INVALID_OPTION', () => first!.load({ eps: 0.25 }), /'eps' for a batch norm of ONNX/);
    const { state } = await second!.load();
    expect(state).toMatchObject({ gamma: [1, 1.5], beta: [2, 2.5], runningMean: [3, 3.5], runningVariance: [4, 4.5] });
  });

  it('has initialisers behind Identity and in Constant', async () => {
    const constant = [...text(1, 'value'), ...sub(5, int(1, 2), int(2, 1), sub(4, floats([8, 9])))];
    const file = await openOnnx(
      model(
        node('Constant', [], 'c', constant),
        node('Identity', ['scale'], 'same'),
        node('BatchNormalization', ['x', 'same', 'c', 'mean', 'var'], 'y'),
        ...vectors,
      ),
    );
    expect((await findBatchNorms(file)[0]!.load()).state).toMatchObject({ gamma: [1, 1.5], beta: [8, 9] });
  });

  it('has elements in any field', async () => {
    const file = await openOnnx(
      model(
        sub(5, int(1, 2), int(2, 11), text(8, 'double'), sub(10, [...new Uint8Array(Float64Array.of(0.1, 2).buffer)])),
        sub(5, int(1, 2), int(2, 10), text(8, 'half'), sub(5, varint(0x3c00), varint(0xc000))),
        sub(5, int(1, 1), int(2, 7), text(8, 'long'), sub(7, [255, 255, 255, 255, 255, 255, 255, 255, 255, 1])),
        sub(5, sub(1, [2, 1]), int(2, 1), text(8, 'unpacked'), float(4, 1), float(4, 2)),
      ),
    );
    const data = async (name: string) => (await file.read(name)).data;
    expect(await data('double')).toEqual(Float64Array.of(0.1, 2));
    expect(await data('half')).toEqual(Float32Array.of(1, -2));
    expect(await data('long')).toEqual(BigInt64Array.of(-1n));
    expect(await file.read('unpacked')).toMatchObject({ shape: [2, 1], data: Float32Array.of(1, 2) });
  });

  it('has elements in a file beside it', async () => {
    const entry = (key: string, value: string) => sub(13, text(1, key), text(2, value));
    const beside = (location: string) =>
      model(sub(5, int(1, 2), int(2, 1), text(8, 'w'), entry('location', location), entry('offset', '4'), int(14, 1)));
    const open = () => Uint8Array.from(floats([0, 5, 6]));
    expect((await (await openOnnx(beside('w.bin'), { open })).read('w')).data).toEqual(Float32Array.of(5, 6));
    await expectCode('INVALID_OPTION', async () => (await openOnnx(beside('w.bin'))).read('w'), /`open`/);
    await expectCode('INVALID_FILE', async () => (await openOnnx(beside('../w'), { open })).read('w'), /'\.\.\/w'/);
  });

  it('whose batch norm the graph computes is found, and refused where it is loaded', async () => {
    const file = await openOnnx(model(node('BatchNormalization', inputs, 'y'), ...vectors.slice(1)));
    const [found] = findBatchNorms(file);
    await expectCode('UNSUPPORTED', () => found!.load(), /'scale', which the graph computes/);
  });

  it('of another domain has none', async () => {
    const other = sub(1, ...inputs.map((name) => text(1, name)), text(4, 'BatchNormalization'), text(7, 'custom'));
    expect((await openOnnx(model(other))).batchNorms).toEqual([]);
  });

  it.each([
    ['nothing', [], /0 graphs/],
    ['two graphs', [...model(), ...model()], /2 graphs/],
    ['a field beyond its end', [0x3a, 100, 1], /beyond its end/],
    ['a varint without an end', [0x3a, 255, 255, 255], /varint/],
    ['field 0', [0x02, 0], /field 0/],
    ['a group', [0x3b, 0], /wire type 3/],
    ['two initialisers of one name', [...model(...vectors, ...vectors.slice(3))], /two tensors 'var'/],
    [
      'an attribute twice',
      [...model(node('BatchNormalization', inputs, 'y', epsilon(0.5), epsilon(0.25)))],
      /two attributes 'epsilon'/,
    ],
    ['a node of three inputs', [...model(node('BatchNormalization', inputs.slice(0, 3), 'y'))], /3 inputs/],
    ['a tensor of 100 axes', [...model(sub(5, sub(1, Array(100).fill(1)), text(8, 'a')))], /numbers/],
  ])('is refused: %s', async (_, bytes, message) => {
    await expectCode('INVALID_FILE', () => openOnnx(Uint8Array.from(bytes)), message);
  });

  it('whose integers are none of their type is refused where they are read', async () => {
    const file = await openOnnx(model(sub(5, int(1, 1), int(2, 3), text(8, 'w'), sub(5, varint(300)))));
    await expectCode('INVALID_FILE', () => file.read('w'), /300 for I8/);
  });

  it('whose elements do not fit the shape is refused where they are read', async () => {
    const file = await openOnnx(model(sub(5, int(1, 1000), int(2, 1), text(8, 'w'), sub(9, floats([1])))));
    await expectCode('INVALID_FILE', () => file.read('w'), /4 bytes of 'w', expected 4000/);
  });
});
