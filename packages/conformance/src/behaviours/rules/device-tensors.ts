// Device tensors themselves: copies of what was uploaded, alive until they are disposed, and good for any call of their
// backend.
import type { DeviceTensor, Gradients } from '@batchnorm/core-api';
import { type Check, identical, outcome } from '../../compare.js';
import { codeOf, refuses } from '../../expect-refusal.js';
import { notLarge, type Rule } from '../rule.js';
import { backward, forward, type Scene, same } from '../scene.js';

const exempt: Rule['exempt'] = ({ memory }) => (memory !== 'device' ? 'it is about device tensors' : undefined);

const anySize = notLarge('what is refused is refused before anything of that size is touched');

export const deviceTensorRules: readonly Rule[] = [
  {
    name: 'a device tensor is a copy with a shape and a dtype',
    why: 'of what was uploaded, from anywhere in a buffer; reading it gives a copy, too',
    exempt,
    run: async (scene) => {
      const { x } = scene.batch(1);
      // The scene spoils the source of an upload, and what it has read.
      const tensor = (await scene.put(x)) as DeviceTensor;
      const [first, second] = [await scene.memory.read(tensor), await scene.memory.read(tensor)];
      const layer = scene.layer();
      const y = (await scene.forward(layer, tensor)) as DeviceTensor;
      const { dx } = (await scene.backward(layer, tensor)) as unknown as { dx: DeviceTensor };
      const [both, bothDx] = await Promise.all([scene.memory.read(y), scene.memory.read(dx)]);
      // The same extent in another rank: y must have the shape of x.
      const deeper = [...scene.shape, 1];
      const yDeeper = (await scene.forward(layer, await scene.put(x, deeper))) as DeviceTensor;
      const longer = new (x.constructor as Float32ArrayConstructor)(x.length + 8);
      longer.set(x);
      const beginning = await scene.backend.upload({ data: longer.subarray(0, x.length), shape: scene.shape });
      scene.memory.own(beginning);
      const yOfInference = (await scene.forward(layer, tensor, { training: false })) as DeviceTensor;
      const ofInference = (await scene.backward(layer, tensor)) as unknown as { dx: DeviceTensor };
      const results = { y, dx, 'y of inference': yOfInference, 'dx of inference': ofInference.dx };
      const tensors = Object.entries({ 'what was uploaded': tensor, ...results });
      const views: Check[] = [];
      for (const [what, one] of tensors) views.push(...(await viewChecks(scene, what, one)));
      const [wantY, wantDx] = [await scene.memory.read(y), await scene.memory.read(dx)];
      const copies: Check[] = [];
      for (const [what, one] of Object.entries(results)) copies.push(await readsCopies(scene, what, one));
      return [
        identical('read', first, x),
        identical('read again', second, x),
        identical('read of the beginning of a longer array', await scene.memory.read(beginning), x),
        identical('y, read while dx is', both, wantY),
        identical('dx, read while y is', bothDx, wantDx),
        outcome(
          `y of [${deeper}]`,
          `${yDeeper.shape}` === `${deeper}`,
          `: received [${yDeeper.shape}], expected [${deeper}]`,
        ),
        ...copies,
        ...views,
        ...tensors.flatMap(([what, one]) => describes(scene, what, one)),
      ];
    },
  },
  {
    name: 'what only looks like a device tensor is refused',
    why: 'another address or shape would be another tensor’s memory; and nobody changes the shape of a real one',
    exempt: (cell, subject) => exempt(cell, subject) ?? anySize(cell),
    run: async (scene) => {
      const { x, dy } = scene.batch(1);
      const layer = scene.layer();
      const [real, realDy] = [(await scene.put(x)) as DeviceTensor, (await scene.put(dy)) as DeviceTensor];
      const want = await scene.step(layer, { x, dy });
      const { backend, dtype, shape } = real;
      const read = () => x;
      const forgeries: Record<string, DeviceTensor> = {
        'an object like one': { backend, dtype, shape, disposed: false, read, dispose: () => undefined },
        'an heir of one': Object.create(real),
        'a copy of one': Object.assign(Object.create(Object.getPrototypeOf(real)), real),
      };
      const checks: Check[] = [];
      for (const [what, forged] of Object.entries(forgeries)) {
        const attempts: Record<string, () => unknown> = {
          x: () => layer.forward(forged),
          out: () => layer.forward(real, { out: forged }),
          dy: () => layer.backward(forged),
          'out.dx': () => layer.backward(realDy, { out: { dx: forged } }),
        };
        // An heir or a copy may look disposed, or of another dtype or shape: the code for that is right, too.
        const codes = ['FOREIGN_TENSOR', 'DISPOSED', 'DTYPE_MISMATCH', 'INVALID_TENSOR', 'SHAPE_MISMATCH'];
        for (const [place, attempt] of Object.entries(attempts)) {
          const code = await Promise.resolve()
            .then(attempt)
            .then(() => 'no error', codeOf);
          checks.push(
            outcome(`${what} as ${place}`, codes.includes(code), `: received ${code}, expected FOREIGN_TENSOR`),
          );
        }
      }
      try {
        (real.shape as number[])[0] = 1;
      } catch {}
      return [
        ...checks,
        ...describes(scene, 'after an attempt to change its shape', real),
        ...same('the same afterwards', await scene.gradients(layer, dy), want),
      ];
    },
  },
  {
    name: 'what is on the device is counted',
    why: 'allocatedBytes() is how a leak on the device is seen: a tensor adds its bytes, and takes them with it',
    exempt: (cell, { backend }) =>
      cell.memory !== 'device'
        ? 'it is about device tensors'
        : backend.allocatedBytes
          ? undefined
          : 'the backend does not say how much it has allocated',
    run: async (scene) => {
      const { backend, shape } = scene;
      const { x } = scene.batch(1);
      const allocated = () => backend.allocatedBytes!();
      const before = allocated();
      const tensors = [await backend.upload({ data: x, shape }), await backend.upload({ data: x, shape })];
      const held = allocated();
      for (const tensor of tensors) tensor.dispose();
      const [grown, freed] = [held - before, held - allocated()];
      const least = tensors.length * x.byteLength;
      const checks = [
        outcome('two tensors', grown >= least, `: received ${grown} more bytes, expected ${least} or more`),
        outcome('two tensors disposed', freed >= least, `: received ${freed} bytes freed, expected ${least} or more`),
      ];
      const layer = scene.layer();
      const put = await scene.put(x);
      for (const training of [true, false]) {
        const y = (await forward(layer, put, { training })) as DeviceTensor;
        const { dx, dgamma, dbeta } = (await backward(layer, put, {})) as unknown as Record<
          keyof Gradients,
          DeviceTensor
        >;
        for (const [name, result] of Object.entries({ y, dx })) {
          const held = allocated();
          result.dispose();
          const freed = held - allocated();
          const what = `${training ? 'training' : 'inference'} ${name}`;
          checks.push(
            outcome(what, freed >= x.byteLength, `: received ${freed} bytes freed, expected ${x.byteLength} or more`),
            outcome(`${what} disposed`, result.disposed, ': received false, expected true'),
          );
        }
        for (const vector of [dgamma, dbeta]) vector.dispose();
      }
      return checks;
    },
  },
  {
    name: 'a tensor lives until it is disposed, and no other with it',
    why: 'inputs and results are freed one by one, in any order',
    exempt,
    run: async (scene) => {
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
        ...(await inAnyOrder(scene)),
        ...(await disposedTwice(scene)),
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
    run: async (scene) => {
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
      // x changes while statistics wait: they must be those of x as it was.
      const overwriting = scene.layer();
      for (const [layer, x] of [
        [waiting, await scene.put(batches[0]!)],
        [settled, await scene.put(batches[0]!)],
      ] as const) {
        (await scene.forward(layer, x)) as DeviceTensor;
        if (layer === settled) await settled.settle();
        (x as DeviceTensor).view?.().fill(7);
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

/** Twelve tensors, some of which are disposed out of order and replaced by new ones. */
async function inAnyOrder(scene: Scene): Promise<Check[]> {
  const values = Array.from({ length: 12 }, (_, n) => scene.batch(n + 10).x);
  const tensors: DeviceTensor[] = [];
  for (const one of values) tensors.push((await scene.put(one)) as DeviceTensor);
  const checks: Check[] = [];
  for (const n of [7, 0, 11, 4, 5]) {
    tensors[n]!.dispose();
    for (const [k, tensor] of tensors.entries()) {
      if (tensor.disposed) continue;
      checks.push(identical(`tensor ${k} of 12, ${n} disposed`, await scene.memory.read(tensor), values[k]!));
    }
    tensors[n] = (await scene.put(values[n]!)) as DeviceTensor;
  }
  for (const [k, tensor] of tensors.entries()) {
    checks.push(identical(`tensor ${k} of 12`, await scene.memory.read(tensor), values[k]!));
  }
  return checks;
}

/** A second dispose() of gradients must not free the memory of the next ones. */
async function disposedTwice(scene: Scene): Promise<Check[]> {
  const { x, dy } = scene.batch(1);
  const layer = scene.layer();
  const want = await scene.step(layer, { x, dy });
  const all = (gradients: object) => Object.values(gradients) as DeviceTensor[];
  const first = await scene.backward(layer, await scene.put(dy));
  for (const one of all(first)) one.dispose();
  const second = await scene.backward(layer, await scene.put(dy));
  for (const one of all(first)) one.dispose();
  const third = await scene.backward(layer, await scene.put(dy));
  return [
    ...same('gradients after a second dispose()', await scene.read(second), want),
    ...same('the next gradients', await scene.read(third), want),
  ];
}

/** What was read must stay as it was, whatever is written to the tensor and read of it later. */
async function readsCopies(scene: Scene, what: string, tensor: DeviceTensor): Promise<Check> {
  const kept = await tensor.read();
  const want = kept.slice();
  await scene.refill(tensor, scene.batch(1).dy);
  await tensor.read();
  return identical(`what was read of ${what}, when it is something else`, kept, want);
}

/** A view must be the tensor's own memory: what is written to one view is seen in the next. */
async function viewChecks({ memory }: Scene, what: string, tensor: DeviceTensor): Promise<Check[]> {
  const elements = await memory.read(tensor);
  const view = tensor.view?.();
  if (view === undefined) return [];
  const holds = identical(`view() of ${what}`, view, elements);
  const [first] = view;
  view[0] = 12345;
  const seen = tensor.view!()[0];
  view[0] = first!;
  return [
    holds,
    outcome(`view() of ${what}`, seen === 12345, `: received ${seen}, expected 12345, which was written to another`),
  ];
}

function describes({ backend, dtype, shape }: Scene, what: string, tensor: DeviceTensor): Check[] {
  const facts = `${tensor.dtype} [${tensor.shape}]${tensor.disposed ? ', disposed' : ''}${tensor.backend === backend ? '' : ', of another backend'}`;
  const expected = `${dtype} [${shape}]`;
  return [outcome(what, facts === expected, `: received ${facts}, expected ${expected}`)];
}
