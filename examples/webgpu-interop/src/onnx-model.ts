// ONNX models of element-wise operations, as bytes: the few fields of onnx.proto that they need, in protobuf's wire format.

/** An operation, its inputs, and its output. */
export type Node = readonly [operation: string, inputs: readonly string[], output: string];

/** A field of a message: a number, a text, bytes, or a message. */
type Field = readonly [id: number, value: number | string | Uint8Array | readonly Field[]];

const float = 1;

/** Float32 tensors of `shape`, and constants that are numbers. */
export function elementwiseModel(
  nodes: readonly Node[],
  { inputs, output, shape, constants = {} }: ModelOptions,
): Uint8Array {
  const sizes = shape.map((size): Field => [1, [[1, size]]]);
  const tensor = (name: string): Field[] => [
    [1, name],
    [
      2,
      [
        [
          1,
          [
            [1, float],
            [2, sizes],
          ],
        ],
      ],
    ],
  ];
  const graph: Field[] = [
    ...nodes.map(
      ([operation, from, to]): Field => [1, [...from.map((name): Field => [1, name]), [2, to], [4, operation]]],
    ),
    [2, 'graph'],
    ...Object.entries(constants).map(
      ([name, value]): Field => [
        5,
        [
          [2, float],
          [8, name],
          [9, new Uint8Array(Float32Array.of(value).buffer)],
        ],
      ],
    ),
    ...inputs.map((name): Field => [11, tensor(name)]),
    [12, tensor(output)],
  ];
  const [irVersion, opset] = [8, 15];
  return message([
    [1, irVersion],
    [8, [[2, opset]]],
    [7, graph],
  ]);
}

export interface ModelOptions {
  readonly inputs: readonly string[];
  readonly output: string;
  readonly shape: readonly number[];
  readonly constants?: Readonly<Record<string, number>>;
}

function message(fields: readonly Field[]): Uint8Array {
  return Uint8Array.from(fields.flatMap(([id, value]) => bytesOf(id, value)));
}

function bytesOf(id: number, value: Field[1]): number[] {
  if (typeof value === 'number') return [...varint(id << 3), ...varint(value)];
  const bytes =
    typeof value === 'string' ? new TextEncoder().encode(value) : value instanceof Uint8Array ? value : message(value);
  return [...varint((id << 3) | 2), ...varint(bytes.length), ...bytes];
}

/** Seven bits a byte, the lowest first; the eighth says that more bytes follow. */
function varint(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...varint(value >> 7)];
}
