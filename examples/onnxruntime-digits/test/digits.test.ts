// In each way to have its batch norms, the network in ONNX Runtime gives what it gives with its own, and what PyTorch gave.
import { createWasmBackend } from '@batchnorm/backend-wasm';
import { largestError } from '@batchnorm/testing/batches';
import { afterAll, describe, expect, it } from 'vitest';
import { logitsOfPyTorch, model } from '../src/files.js';
import { digits, readParameters, withAffine, withLayers, withNodes } from '../src/network.js';
import { howToInstall, isInstalled, type Session } from '../src/onnxruntime.js';

const backend = await createWasmBackend({ threads: 1 });
afterAll(() => backend.dispose());

describe.skipIf(!isInstalled)(
  isInstalled ? 'in ONNX Runtime' : `ONNX Runtime Web is not installed: ${howToInstall}`,
  () => {
    const { test, training } = digits();
    const opened: Session[] = [];
    afterAll(async () => {
      for (const session of opened) await session.release();
    });
    const using = <S extends Session>(session: S): S => {
      opened.push(session);
      return session;
    };
    /** Logits are up to 22; each is a sum in float32 of at most 144 products, in four layers. */
    const bound = 4 * 144 * 2 ** -24 * 22;

    it('gives the logits of PyTorch with nodes, with scale and shift, and with layers between sessions', async () => {
      const parameters = await readParameters(await model());
      const expected = await logitsOfPyTorch();
      const sessions = {
        nodes: withNodes(parameters),
        affine: withAffine(parameters),
        layers: withLayers(parameters, backend),
      };
      for (const [name, session] of Object.entries(sessions)) {
        const { data, shape } = await using(await session).run(test.images);
        expect(shape, name).toEqual([360, 10]);
        expect(largestError(data, expected), name).toBeLessThanOrEqual(bound);
      }
    });

    it('is told from one whose epsilon is PyTorch’s default, which is not the model’s', async () => {
      const { batchNorms, ...parameters } = await readParameters(await model());
      const wrong = batchNorms.map(({ options, state }) => ({
        options: { ...options, epsilon: 1e-5 },
        state: { ...state, options: { ...state.options, epsilon: 1e-5 } },
      }));
      const expected = await logitsOfPyTorch();
      const session = using(await withLayers({ ...parameters, batchNorms: wrong }, backend));
      expect(largestError((await session.run(test.images)).data, expected)).toBeGreaterThan(100 * bound);
    });

    it('can be recalibrated, which a session alone can’t: the statistics of other images give other logits', async () => {
      const session = using(await withLayers(await readParameters(await model()), backend));
      await session.recalibrate({ data: training.images.data.map((pixel) => 2 * pixel), shape: training.images.shape });
      const twice = await session.run({ data: test.images.data.map((pixel) => 2 * pixel), shape: test.images.shape });
      await session.recalibrate(training.images);
      const once = await session.run(test.images);
      // Twice as bright, with statistics of images twice as bright, is the same but for epsilon, 1e-3 of a variance.
      expect(largestError(twice.data, once.data)).toBeLessThan(1);
      expect(largestError(once.data, await logitsOfPyTorch())).toBeGreaterThan(10 * bound);
    });
  },
);
