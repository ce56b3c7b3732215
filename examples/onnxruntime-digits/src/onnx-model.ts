// ONNX models as bytes: the few fields of onnx.proto that this example needs, in protobuf's wire format.

/** A float32 tensor. */
export interface Tensor {
  readonly data: Float32Array;
  readonly shape: readonly number[];
}

/** An operation on what came before it and on constants, with whole numbers or lists of them as attributes. */
export interface Node {
  readonly operation: string;
  readonly constants?: readonly Tensor[];
  readonly attributes?: Readonly<Record<string, number | readonly number[] | Float32Array>>;
}

/** A field of a message: a whole number, a text, bytes, or a message. */
type Field = readonly [id: number, value: number | string | Uint8Array | readonly Field[]];

const float = 1;

/** A chain of operations from the input `x` to the output `y`, of any batch size. */
export function chain(nodes: readonly Node[], rank: { readonly x: number; readonly y: number }): Uint8Array {
  const graph: Field[] = [[2, 'graph']];
  nodes.forEach(({ operation, constants = [], attributes = {} }, n) => {
    const [from, to] = [n === 0 ? 'x' : `after-${n - 1}`, n === nodes.length - 1 ? 'y' : `after-${n}`];
    const names = constants.map((_, k) => `constant-${n}-${k}`);
    graph.push([
      1,
      [
        ...[from, ...names].map((name): Field => [1, name]),
        ...([
          [2, to],
          [4, operation],
        ] as const),
        ...Object.entries(attributes).map((entry): Field => [5, attribute(...entry)]),
      ],
    ]);
    constants.forEach(({ data, shape }, k) => {
      const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
      graph.push([5, [...shape.map((size): Field => [1, size]), [2, float], [8, names[k]!], [9, bytes]]]);
    });
  });
  graph.push([11, valueInfo('x', rank.x)], [12, valueInfo('y', rank.y)]);
  const [irVersion, opset] = [8, 15];
  return message([
    [1, irVersion],
    [8, [[2, opset]]],
    [7, graph],
  ]);
}

/** A float is given as an array of one. */
function attribute(name: string, value: number | readonly number[] | Float32Array): Field[] {
  const [asFloat, asInt, asInts] = [1, 2, 7];
  if (typeof value === 'number')
    return [
      [1, name],
      [3, value],
      [20, asInt],
    ];
  if (value instanceof Float32Array)
    return [
      [1, name],
      [2, new Uint8Array(value.slice().buffer)],
      [20, asFloat],
    ];
  return [[1, name], ...value.map((item): Field => [8, item]), [20, asInts]];
}

function valueInfo(name: string, rank: number): Field[] {
  const dimensions = Array.from({ length: rank }, (_, k): Field => [1, [[2, `${name}-${k}`]]]);
  return [
    [1, name],
    [
      2,
      [
        [
          1,
          [
            [1, float],
            [2, dimensions],
          ],
        ],
      ],
    ],
  ];
}

function message(fields: readonly Field[]): Uint8Array {
  return Uint8Array.from(fields.flatMap(([id, value]) => bytesOf(id, value)));
}

const [varintType, bytesType, fixed32Type] = [0, 2, 5];

function bytesOf(id: number, value: Field[1]): number[] {
  if (typeof value === 'number') return [...varint((id << 3) | varintType), ...varint(value)];
  const bytes =
    typeof value === 'string' ? new TextEncoder().encode(value) : value instanceof Uint8Array ? value : message(value);
  // The float of an attribute is the only field of four bytes.
  if (id === 2 && value instanceof Uint8Array) return [...varint((id << 3) | fixed32Type), ...bytes];
  return [...varint((id << 3) | bytesType), ...varint(bytes.length), ...bytes];
}

/** Seven bits a byte, the lowest first; the eighth says that more bytes follow. */
function varint(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...varint(value >> 7)];
}
