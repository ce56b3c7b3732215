// Device tensors themselves: copies of what was uploaded, alive until they are disposed, and good for any call of their backend.
import type { DeviceTensor, FloatArray } from '@batchnorm/core-api';
import { identical, outcome } from '../../compare.js';
import type { Check } from '../../conformance-case.js';
import { refuses } from '../../expect-refusal.js';
import type { Rule } from '../rule.js';
import type { Scene } from '../scene.js';

const exempt: Rule['exempt'] = ({ memory }) => (memory === 'host' ? 'it is about device tensors' : undefined);

export const deviceTensorRules: readonly Rule[] = [
  {
    name: 'a device tensor is a copy with a shape and a dtype',
    why: 'of what was uploaded, from anywhere in a buffer; reading it gives a copy, too',
    exempt,
    check: async (scene) => {
      const { x } = scene.batch(1);
      // The scene spoils the source of an upload, and what it has read.
      const tensor = (await scene.put(x)) as DeviceTensor;
      const [first, second] = [await scene.memory.read(tensor), await scene.memory.read(tensor)];
      const layer = scene.layer();
      const y = (await scene.forward(layer, tensor)) as DeviceTensor;
      const { dx } = (await scene.backward(layer, tensor)) as unknown as { dx: DeviceTensor };
      const [both, bothDx] = await Promise.all([scene.memory.read(y), scene.memory.read(dx)]);
      // The same extent in another rank: what comes out has the shape of what went in.
      const deeper = [...scene.shape, 1];
      const yDeeper = (await scene.forward(layer, await scene.put(x, deeper))) as DeviceTensor;
      const longer = new (x.constructor as Float32ArrayConstructor)(x.length + 8);
      longer.set(x);
      const beginning = await scene.backend.upload({ data: longer.subarray(0, x.length), shape: scene.shape });
      scene.memory.own(beginning);
      const view = tensor.view?.();
      const checks = view ? viewChecks(tensor, view, x) : [];
      return [
        identical('read', first, x),
        identical('read again', second, x),
        identical('read of the beginning of a longer array', await scene.memory.read(beginning), x),
        identical('y, read while dx is', both, await scene.memory.read(y)),
        identical('dx, read while y is', bothDx, await scene.memory.read(dx)),
        outcome(
          `y of [${deeper}]`,
          `${yDeeper.shape}` === `${deeper}`,
          `: received [${yDeeper.shape}], expected [${deeper}]`,
        ),
        ...checks,
        ...Object.entries({ 'what was uploaded': tensor, y, dx }).flatMap(([what, one]) => describes(scene, what, one)),
      ];
    },
  },
  {
    name: 'what is on the device is counted',
    why: 'allocatedBytes() is how a leak on the device is seen: a tensor adds its bytes, and takes them with it',
    exempt: (cell, { backend }) =>
      cell.memory === 'host'
        ? 'it is about device tensors'
        : backend.allocatedBytes
          ? undefined
          : 'the backend does not say how much it has allocated',
    check: async (scene) => {
      const { backend, shape } = scene;
      const { x } = scene.batch(1);
      const allocated = () => backend.allocatedBytes!();
      const before = allocated();
      const tensors = [await backend.upload({ data: x, shape }), await backend.upload({ data: x, shape })];
      const grown = allocated() - before;
      for (const tensor of tensors) tensor.dispose();
      const left = allocated() - before;
      const least = tensors.length * x.byteLength;
      return [
        outcome('two tensors', grown >= least, `: received ${grown} more bytes, expected ${least} or more`),
        outcome('disposed', left === 0, `: received ${left} more bytes than before, expected none`),
      ];
    },
  },
  {
    name: 'a tensor lives until it is disposed, and no other with it',
    why: 'inputs and results are freed one by one, in any order',
    exempt,
    check: async (scene) => {
      const { x, dy } = scene.batch(1);
      const layer = scene.layer();
      const want = await scene.step(layer, { x, dy });
      const [putX, putDy] = [(await scene.put(x)) as DeviceTensor, (await scene.put(dy)) as DeviceTensor];
      const y = (await scene.forward(layer, putX)) as DeviceTensor;
      const gradients = (await scene.backward(layer, putDy)) as unknown as Record<
        'dx' | 'dgamma' | 'dbeta',
        DeviceTensor
      >;
      const checks: Check[] = [];
      putDy.dispose();
      checks.push(identical('y when dy is gone', await scene.memory.read(y), want.y));
      gradients.dgamma.dispose();
      checks.push(identical('dbeta when dgamma is gone', await scene.memory.read(gradients.dbeta), want.dbeta));
      gradients.dbeta.dispose();
      y.dispose();
      checks.push(
        identical('dx when y and the vectors are gone', await scene.memory.read(gradients.dx), want.dx),
        identical('x when y is gone', await scene.memory.read(putX), x),
      );
      gradients.dx.dispose();
      const inference = (await scene.forward(layer, putX, { training: false })) as DeviceTensor;
      const wantInference = await scene.memory.read(inference);
      await scene.forward(layer, putX);
      putX.dispose();
      putX.dispose();
      if (putX.view) checks.push(await refuses('view of what is disposed', 'DISPOSED', () => putX.view!()));
      const [first, second] = [(await scene.put(x)) as DeviceTensor, (await scene.put(dy)) as DeviceTensor];
      checks.push(
        identical('of two tensors after that, the first', await scene.memory.read(first), x),
        identical('of two tensors after that, the second', await scene.memory.read(second), dy),
      );
      checks.push(identical('y of inference when x is gone', await scene.memory.read(inference), wantInference));
      checks.push(
        outcome(
          'disposed',
          putX.disposed && y.disposed && gradients.dx.disposed,
          ': received false, expected true after dispose()',
        ),
        await refuses('read of what is disposed', 'DISPOSED', () => y.read()),
        await refuses('read of a vector that is disposed', 'DISPOSED', () => gradients.dgamma.read()),
        await refuses('backward when x is gone', 'FORWARD_REQUIRED', async () =>
          scene.backward(layer, await scene.put(dy)),
        ),
        await refuses('forward of what is disposed', 'DISPOSED', () => scene.forward(layer, putX)),
        await refuses('into out that is disposed', 'DISPOSED', async () =>
          scene.forward(layer, await scene.put(x), { out: y }),
        ),
      );
      return checks;
    },
  },
  {
    name: 'statistics that wait on the device settle in order',
    why: 'more batches than may wait; inference, state() and a batch on the host come after them',
    exempt,
    check: async (scene) => {
      const batches = [1, 2, 3].map((n) => scene.batch(n).x);
      const [waiting, settled] = [scene.layer(), scene.layer()];
      const count = 70;
      const uploads = await Promise.all(batches.map((values) => scene.put(values)));
      for (let n = 0; n < count; n++) {
        for (const layer of [waiting, settled]) {
          const y = (await scene.forward(layer, uploads[n % 3]!)) as DeviceTensor;
          y.dispose();
        }
        await settled.settle();
      }
      // What x holds afterwards is nothing to statistics that wait.
      const overwriting = scene.layer();
      for (const [layer, x] of [
        [waiting, await scene.put(batches[0]!)],
        [settled, await scene.put(batches[0]!)],
      ] as const) {
        (await scene.forward(layer, x)) as DeviceTensor;
        if (layer === settled) await settled.settle();
        await scene.forward(overwriting, uploads[1]!, { out: x });
        (x as DeviceTensor).dispose();
      }
      const onHost = { data: batches[0]!.slice(), shape: scene.shape };
      for (const layer of [waiting, settled]) await layer.forward(onHost);
      const [state, want] = [await waiting.state(), await settled.state()];
      return [
        identical('running mean', state.runningMean, want.runningMean),
        identical('running variance', state.runningVariance, want.runningVariance),
        identical('batches tracked', [state.batchesTracked], [count + 2]),
      ];
    },
  },
];

/** A view is the tensor's own memory. */
function viewChecks(tensor: DeviceTensor, view: FloatArray, x: FloatArray): Check[] {
  const isX = identical('view()', view, x);
  view[0] = 12345;
  const seen = tensor.view!()[0];
  view[0] = x[0]!;
  return [
    isX,
    outcome('what is written to view()', seen === 12345, `: received ${seen}, expected 12345 in the tensor`),
  ];
}

function describes({ backend, dtype, shape }: Scene, what: string, tensor: DeviceTensor): Check[] {
  const facts = `${tensor.dtype} [${tensor.shape}]${tensor.disposed ? ', disposed' : ''}${tensor.backend === backend ? '' : ', of another backend'}`;
  const expected = `${dtype} [${shape}]`;
  return [outcome(what, facts === expected, `: received ${facts}, expected ${expected}`)];
}
