// The network of pytorch-digits in ONNX Runtime: whole, in sessions with our batch norms between them, or with their
// scale and shift.
import { type Backend, BatchNorm, calibrate } from '@batchnorm/core-api';
import { loadDigits, split } from '@batchnorm/example-train-digits/digits';
import { affine, findBatchNorms, floats, type LayerWeights, type SafetensorsFile, toOnnx } from '@batchnorm/weights';
import { chain, type Node, type Tensor } from './onnx-model.js';
import { openSession, type Session } from './onnxruntime.js';

/** The parameters of a network of stages, convolution, batch norm, ReLU and pooling, and a linear layer. */
export interface Parameters {
  readonly convolutions: readonly Tensor[];
  readonly batchNorms: readonly LayerWeights[];
  readonly output: readonly [weight: Tensor, bias: Tensor];
}

/** Of a file of pytorch-digits. */
export async function readParameters(file: SafetensorsFile): Promise<Parameters> {
  const tensor = async (name: string) => floats(await file.read(name)) as Tensor;
  // What no state dict holds, train.py has left in the metadata.
  const hyperparameters = JSON.parse(file.metadata.get('batch_norms')!);
  return {
    convolutions: await Promise.all([1, 2, 3].map((n) => tensor(`conv${n}.weight`))),
    batchNorms: await Promise.all(findBatchNorms(file).map((found) => found.load(hyperparameters))),
    output: [await tensor('output.weight'), await tensor('output.bias')],
  };
}

const convolution = (weight: Tensor): Node => ({
  operation: 'Conv',
  constants: [weight],
  attributes: { pads: [1, 1, 1, 1] },
});
const afterBatchNorm: readonly Node[] = [
  { operation: 'Relu' },
  { operation: 'MaxPool', attributes: { kernel_shape: [2, 2], strides: [2, 2] } },
];
const linear = ({ output }: Parameters): readonly Node[] => [
  { operation: 'Flatten' },
  { operation: 'Gemm', constants: output, attributes: { transB: 1 } },
];

/** The network with `batchNorm` for each of its batch norms. */
function whole(parameters: Parameters, batchNorm: (weights: LayerWeights) => readonly Node[]): Promise<Session> {
  const stages = parameters.convolutions.flatMap((weight, n) => [
    convolution(weight),
    ...batchNorm(parameters.batchNorms[n]!),
    ...afterBatchNorm,
  ]);
  return openSession(chain([...stages, ...linear(parameters)], { x: 4, y: 2 }));
}

/** With the batch norms of ONNX Runtime. */
export function withNodes(parameters: Parameters): Promise<Session> {
  return whole(parameters, ({ state }) => {
    const { inputs, attributes } = toOnnx(state, { purpose: 'inference' });
    const constants = [inputs.scale, inputs.B, inputs.input_mean, inputs.input_var].map((input) => input as Tensor);
    return [
      { operation: 'BatchNormalization', constants, attributes: { epsilon: Float32Array.of(attributes.epsilon) } },
    ];
  });
}

/** With their scale and shift, which every engine has. */
export function withAffine(parameters: Parameters): Promise<Session> {
  return whole(parameters, ({ state }) => {
    const { scale, shift } = affine(state);
    const perChannel = (values: ArrayLike<number>) => ({
      data: Float32Array.from(values),
      shape: [values.length, 1, 1],
    });
    return [
      { operation: 'Mul', constants: [perChannel(scale)] },
      { operation: 'Add', constants: [perChannel(shift)] },
    ];
  });
}

/** Sessions of what is between the batch norms, and layers here in their places. */
export interface SplitNetwork extends Session {
  /** Makes the running statistics those of images, of each layer with the layers before it calibrated. */
  recalibrate(images: Tensor): Promise<void>;
}

export async function withLayers(parameters: Parameters, backend: Backend): Promise<SplitNetwork> {
  const layers: BatchNorm[] = [];
  for (const { options, state } of parameters.batchNorms) {
    const layer = new BatchNorm({ backend, ...options });
    await layer.loadState(state);
    layers.push(layer);
  }
  const [first, ...others] = parameters.convolutions.map(convolution);
  const sessions = [
    await openSession(chain([first!], { x: 4, y: 4 })),
    ...(await Promise.all(others.map((next) => openSession(chain([...afterBatchNorm, next], { x: 4, y: 4 }))))),
  ];
  const last = await openSession(chain([...afterBatchNorm, ...linear(parameters)], { x: 4, y: 2 }));
  const through = async (x: Tensor, before: (layer: BatchNorm, x: Tensor) => Promise<unknown>): Promise<Tensor> => {
    let at = x;
    for (const [n, session] of sessions.entries()) {
      const convolved = await session.run(at);
      await before(layers[n]!, convolved);
      at = (await layers[n]!.forward(convolved, { training: false, out: convolved })) as Tensor;
    }
    return last.run(at);
  };
  return {
    run: (x) => through(x, async () => undefined),
    recalibrate: async (images) => void (await through(images, (layer, x) => calibrate(layer, [x]))),
    async release() {
      for (const session of [...sessions, last]) await session.release();
      for (const layer of layers) await layer.dispose();
    },
  };
}

/** [N, 1, 8, 8] and labels, split as in pytorch-digits. */
export function digits(): Record<'training' | 'test', { readonly images: Tensor; readonly labels: Uint8Array }> {
  const { training, test } = split(loadDigits(), 360, 2015);
  const asImages = ({ images, labels }: typeof training) => ({
    images: { data: Float32Array.from(images.data), shape: [labels.length, 1, 8, 8] },
    labels,
  });
  return { training: asImages(training), test: asImages(test) };
}
