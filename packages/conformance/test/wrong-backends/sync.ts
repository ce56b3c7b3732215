// Wrong about calls that return at once: they don't, or what they give comes later.
import type { Backend, FloatArray, Gradients } from '@batchnorm/core-api';
import { layerOf, running, tensor } from './programs.js';
import { createRightBackend, type RightBackend } from './right-backend.js';
import { adapt, onHost } from './wrap.js';
import type { WrongBackend } from './wrong-backend.js';

const shape = [6, 4];
const [x, dy] = [tensor(shape), tensor(shape, 2)];

/** A right backend in host memory, whose calls return at once, and which says so. */
function right(): RightBackend {
  const backend = createRightBackend();
  return Object.assign(backend, {
    capabilities: { ...backend.capabilities, synchronous: true, deviceTensors: false },
  });
}

/** Writes junk into a result until the microtasks have their turn. */
function late(result: FloatArray): void {
  const values = result.slice();
  result.fill(7);
  queueMicrotask(() => result.set(values));
}

/** Two steps at once: what each gave, copied when it had returned. */
async function program(backend: Backend): Promise<unknown> {
  const layer = layerOf(backend, 4);
  const seen: unknown[] = [];
  for (let n = 0; n < 2; n++) {
    seen.push(layer.sync.forward(x).data.slice());
    const { dx, dgamma, dbeta }: Gradients = layer.sync.backward(dy);
    seen.push([dx.data, dgamma, dbeta].map((values) => values.slice()));
  }
  return [seen, running(layer)];
}

export const sync: readonly WrongBackend[] = [
  {
    name: 'a promise of y',
    caughtBy: 'calls that return at once [host, rows, small]',
    why: 'says that no call returns a promise, but training forwards do',
    right,
    spoil: (one) => onHost(one, () => ({ training: async (input, next) => next(input) })),
    program,
  },
  {
    name: 'a promise of kernels, from the second time on',
    caughtBy: 'calls that return at once [host, rows, small]',
    why: 'the first prepare returns kernels, every later one a promise',
    right,
    spoil(one) {
      const { prepare } = one;
      let calls = 0;
      return adapt(one, { prepare: (plan) => (++calls > 1 ? Promise.resolve(prepare(plan)) : prepare(plan)) });
    },
    async program(backend) {
      await program(backend);
      return program(backend);
    },
  },
  {
    name: 'y a moment later',
    caughtBy: 'calls that return at once [host, rows, small]',
    why: 'y is written when whoever awaits has it, not when the call returns',
    right,
    spoil: (one) =>
      onHost(one, () => ({
        training(input, next) {
          const output = next(input);
          late(output.y);
          return output;
        },
      })),
    program,
  },
  {
    name: 'dx a moment later',
    caughtBy: 'calls that return at once [host, rows, small]',
    why: 'as y, of a backward',
    right,
    spoil: (one) =>
      onHost(one, () => ({
        backward(input, next) {
          const output = next(input);
          late(output.dx);
          return output;
        },
      })),
    program,
  },
  {
    name: 'work that is done twice',
    caughtBy: 'calls that return at once [host, rows, small]',
    why: '`synchronously` calls its work once more: each batch is averaged in twice',
    right,
    spoil: (one) =>
      adapt(one, {
        synchronously(work) {
          work();
          return work();
        },
      }),
    program,
  },
  {
    name: 'work whose result is lost',
    caughtBy: 'calls that return at once [host, rows, small]',
    why: '`synchronously` returns nothing',
    right,
    spoil: (one) => adapt(one, { synchronously: (work) => void work() as never }),
    program,
  },
  {
    name: 'work whose error is lost',
    caughtBy: 'calls that return at once [host, rows, small]',
    why: '`synchronously` catches what its work throws',
    right,
    spoil: (one) =>
      adapt(one, {
        synchronously(work) {
          try {
            return work();
          } catch {
            return undefined as never;
          }
        },
      }),
    async program(backend) {
      const layer = layerOf(backend, 4);
      try {
        return layer.sync.backward(dy);
      } catch {
        return 'refused';
      }
    },
  },
];
