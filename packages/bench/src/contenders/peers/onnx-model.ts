// An ONNX model of one BatchNormalization, as bytes: the few fields of onnx.proto that it needs, in protobuf's wire
// format.
import type { Dtype } from '@batchnorm/core-api';
import { epsilon, type Workload } from '../../cases/workload.js';

/** A field's number, and an integer, a float, a text, bytes, or a message. */
type Field = readonly [number: number, value: number | Float | string | Uint8Array | readonly Field[]];

interface Float {
  readonly float: number;
}

/** x in, y out; everything else is a constant of the model. */
export function batchNormalizationModel({ shape, dtype, gamma, beta, running }: Workload): Uint8Array {
  const constants = { gamma, beta, mean: running.mean, variance: running.variance };
  const tensorType = (sizes: readonly number[]): Field[] => [
    [
      1,
      [
        [1, elementType[dtype]],
        [2, sizes.map((size): Field => [1, [[1, size]]])],
      ],
    ],
  ];
  const value = (name: string): Field[] => [
    [1, name],
    [2, tensorType(shape)],
  ];
  const node: Field[] = [
    ...['x', ...Object.keys(constants)].map((name): Field => [1, name]),
    [2, 'y'],
    [4, 'BatchNormalization'],
    [
      5,
      [
        [1, 'epsilon'],
        [2, { float: epsilon }],
        [20, 1],
      ],
    ],
  ];
  const initializers = Object.entries(constants).map(
    ([name, data]): Field => [
      5,
      [
        [1, data.length],
        [2, elementType[dtype]],
        [8, name],
        [9, bytesOf(dtype, data)],
      ],
    ],
  );
  const graph: Field[] = [[1, node], [2, 'batch-normalization'], ...initializers, [11, value('x')], [12, value('y')]];
  return message([
    [1, 8],
    [8, [[2, 15]]],
    [7, graph],
  ]);
}

const elementType: Readonly<Record<Dtype, number>> = { float32: 1, float16: 10, float64: 11 };

function bytesOf(dtype: Dtype, numbers: ArrayLike<number>): Uint8Array {
  return new Uint8Array((dtype === 'float64' ? Float64Array : Float32Array).from(numbers).buffer);
}

function message(fields: readonly Field[]): Uint8Array {
  return concat(fields.flatMap(([number, value]) => field(number, value)));
}

function field(number: number, value: Field[1]): Uint8Array[] {
  if (typeof value === 'number') return [varint(number << 3), varint(value)];
  if (typeof value === 'object' && 'float' in value)
    return [varint((number << 3) | 5), bytesOf('float32', [value.float])];
  const bytes =
    typeof value === 'string' ? new TextEncoder().encode(value) : value instanceof Uint8Array ? value : message(value);
  return [varint((number << 3) | 2), varint(bytes.length), bytes];
}

/** protobuf's varint: seven bits a byte, the lowest first; the eighth bit says that more bytes follow. */
function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  for (; value > 127; value = Math.floor(value / 128)) bytes.push((value % 128) + 128);
  return Uint8Array.of(...bytes, value);
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const result = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    result.set(part, at);
    at += part.length;
  }
  return result;
}
