// A batch norm as a model of ONNX: one node, with its initialisers. Numbers of fields are those of onnx.proto3.
import { describe, refuse } from '@batchnorm/core-api';
import { bytesFrom, type ElementType } from './element-types.js';
import type { OnnxLayer } from './onnx.js';
import { assertTensor } from './tensor-file.js';

/** What an opset is that has `training_mode`, and the version of the format that came with it. */
const [opset, irVersion] = [15, 8];

/** TensorProto.DataType */
const types: ReadonlyMap<ElementType, number> = new Map([
  ['F32', 1],
  ['F64', 11],
]);

/**
 * The bytes of a model with one node of BatchNormalization in inference mode: its input 'x' is [N, C, …] of `rank` axes,
 * which ONNX has to be told, and of any size but C; its output is 'y', and its initialisers are called as the inputs of
 * the node are. Errors: `INVALID_OPTION` for a rank that is no whole number from 2 to 64; `UNSUPPORTED` for inputs that are
 * no F32 or F64; `INVALID_TENSOR` for inputs that are no tensors.
 */
export function writeOnnx(layer: OnnxLayer, rank: number): Uint8Array {
  const { inputs, attributes } = Object(layer) as OnnxLayer;
  if (!Number.isSafeInteger(rank) || rank < 2 || rank > 64) {
    refuse('INVALID_OPTION', `rank ${describe(rank)}`, 'a whole number from 2 to 64');
  }
  const names = ['scale', 'B', 'input_mean', 'input_var'] as const;
  const initializers = names.map((name) => {
    const tensor: unknown = Object(inputs)[name];
    assertTensor(name, tensor);
    const { dtype, shape, data } = tensor;
    const dims = shape.map((size) => varintField(1, size));
    return bytesField(
      5,
      ...dims,
      varintField(2, typeOf(dtype)),
      textField(8, name),
      bytesField(9, bytesFrom(dtype, data)),
    );
  });
  // AttributeProto.AttributeType FLOAT is 1.
  const floats = Object.entries(Object(attributes) as OnnxLayer['attributes']).map(([name, value]) =>
    bytesField(5, textField(1, name), floatField(2, value), varintField(20, 1)),
  );
  const node = bytesField(
    1,
    ...['x', ...names].map((name) => textField(1, name)),
    textField(2, 'y'),
    textField(3, 'batch norm'),
    textField(4, 'BatchNormalization'),
    ...floats,
  );
  const elementType = typeOf(inputs.scale.dtype);
  // A TypeProto.Tensor in a ValueInfoProto: each axis has a size or a name.
  const dimensions = Array.from({ length: rank }, (_, axis) =>
    bytesField(1, axis === 1 ? varintField(1, inputs.scale.shape[0]!) : textField(2, axis === 0 ? 'N' : `axis${axis}`)),
  );
  const tensorType = bytesField(1, varintField(1, elementType), bytesField(2, ...dimensions));
  const value = (field: number, name: string) => bytesField(field, textField(1, name), bytesField(2, tensorType));
  const graph = bytesField(7, node, textField(2, 'batch norm'), ...initializers, value(11, 'x'), value(12, 'y'));
  return joined(
    varintField(1, irVersion),
    textField(2, '@batchnorm/weights'),
    graph,
    bytesField(8, varintField(2, opset)),
  );
}

function typeOf(dtype: ElementType): number {
  return types.get(dtype) ?? refuse('UNSUPPORTED', `elements of ${dtype}`, [...types.keys()].join(' or '));
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  return Uint8Array.from([...bytes, rest]);
}

function varintField(field: number, value: number): Uint8Array {
  return joined(varint(field * 8), varint(value));
}

function bytesField(field: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const content = joined(...parts);
  return joined(varint(field * 8 + 2), varint(content.length), content);
}

function textField(field: number, text: string): Uint8Array {
  return bytesField(field, new TextEncoder().encode(text));
}

function floatField(field: number, value: number): Uint8Array {
  return joined(varint(field * 8 + 5), bytesFrom('F32', Float32Array.of(value)));
}
