// Wrong about calls that return at once: they don't, or what they give comes later.
import { type Backend, dtypeOf, type FloatArray, type Gradients, type HostMemory } from '@batchnorm/core-api';
import { layerOf, running, tensor } from './programs.js';
import { createRightBackend, type RightBackend } from './right-backend.js';
import { adapt, type Hooks, onHost } from './wrap.js';
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

/** The same output, of which one result is junk until the microtasks have their turn. */
function lateIn<K extends 'y' | 'dx', O extends Readonly<Record<K, FloatArray>>>(name: K, output: O): O {
  const result: FloatArray = output[name];
  const values = result.slice();
  result.fill(7);
  queueMicrotask(() => result.set(values));
  return output;
}

/** Hooks around the operations on host arrays that know whether they are called at once. */
function knowing(one: RightBackend, hooksFor: (isAtOnce: () => boolean) => Hooks<HostMemory>): Backend {
  let isAtOnce = false;
  const hooks = hooksFor(() => isAtOnce);
  return adapt(onHost(one, () => hooks) as RightBackend, {
    synchronously(work) {
      isAtOnce = true;
      work();
      isAtOnce = false;
    },
  });
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
    spoil: (one) => onHost(one, () => ({ forward: (input, next) => lateIn('y', next(input)) })),
    program,
  },
  {
    name: 'dx a moment later',
    caughtBy: 'calls that return at once [host, rows, small]',
    why: 'as y, of a backward',
    right,
    spoil: (one) => onHost(one, () => ({ backward: (input, next) => lateIn('dx', next(input)) })),
    program,
  },
  {
    name: 'work that comes later',
    caughtBy: 'calls that return at once [host, rows, small]',
    why: '`synchronously` calls its work in a microtask',
    right,
    spoil: (one) => adapt(one, { synchronously: (work) => queueMicrotask(work) }),
    program,
  },
  ...(['residual', 'mask'] as const).map(
    (extra): WrongBackend => ({
      name: `a promise with a ${extra}`,
      caughtBy: 'calls that return at once [host, rows, small]',
      why: 'training forwards return at once without it alone',
      right,
      spoil: (one) =>
        onHost(one, () => ({ training: (input, next) => (input[extra] ? Promise.resolve(next(input)) : next(input)) })),
      async program(backend) {
        const mask = { data: Uint8Array.of(1, 1, 0, 1, 1, 1), shape: [6] };
        return layerOf(backend, 4)
          .sync.forward(x, extra === 'mask' ? { mask } : { residual: dy })
          .data.slice();
      },
    }),
  ),
  {
    name: 'a promise of kernels with ReLU',
    caughtBy: 'calls that return at once [host, rows, small]',
    why: 'kernels with a nonlinearity are prepared in another turn',
    right,
    spoil(one) {
      const { prepare } = one;
      return adapt(one, {
        prepare: (plan) => (plan.activation === 'relu' ? Promise.resolve(prepare(plan)) : prepare(plan)),
      });
    },
    program: async (backend) => layerOf(backend, 4, { activation: 'relu' }).sync.forward(x).data.slice(),
  },
  ...(['residual', 'dresidual', 'dx'] as const).map(
    (what): WrongBackend => ({
      name: `another ${what} at once`,
      caughtBy: 'calls that return at once [host, rows, small]',
      why: `within \`synchronously\` ${what === 'residual' ? 'the residual is forgotten' : `${what} is wrong`}`,
      right,
      spoil: (one) =>
        knowing(one, (isAtOnce) => ({
          training: (input, next) =>
            next(isAtOnce() && what === 'residual' ? { ...input, residual: undefined } : input),
          backward(input, next) {
            const output = next(input);
            if (isAtOnce() && what !== 'residual' && output[what]) output[what][0]! += 1;
            return output;
          },
        })),
      async program(backend) {
        const layer = layerOf(backend, 4);
        const y = layer.sync.forward(x, { residual: dy }).data.slice();
        const gradients = layer.sync.backward(dy);
        return [y, gradients.dx.data.slice(), gradients.dresidual?.data.slice()];
      },
    }),
  ),
  {
    name: 'buffers that are not written at once',
    caughtBy: 'calls that return at once [host, rows, small]',
    why: 'within `synchronously` y goes into a new array, also where one was given',
    right,
    spoil: (one) =>
      knowing(one, (isAtOnce) => ({ forward: (input, next) => next(isAtOnce() ? { ...input, y: undefined } : input) })),
    async program(backend) {
      const out = tensor(shape, 3);
      layerOf(backend, 4).sync.forward(x, { out });
      return out.data.slice();
    },
  },
  {
    name: 'a backward at once of an awaited forward',
    caughtBy: 'calls that return at once [host, rows, small]',
    why: 'dx is wrong where its forward was not made at once, too',
    right,
    spoil(one) {
      const atOnce = new WeakSet<object>();
      return knowing(one, (isAtOnce) => ({
        forward(input, next) {
          const output = next(input);
          if (isAtOnce()) atOnce.add(output.saved);
          return output;
        },
        backward(input, next) {
          const output = next(input);
          if (isAtOnce() && !atOnce.has(input.saved)) output.dx[0]! += 1;
          return output;
        },
      }));
    },
    async program(backend) {
      const layer = layerOf(backend, 4);
      await layer.forward(x);
      return layer.sync.backward(dy).dx.data.slice();
    },
  },
  {
    name: 'passes at once',
    caughtBy: 'calls that return at once [host, rows, small]',
    why: 'within `synchronously` dx is right for the latest forward alone',
    right,
    spoil(one) {
      let latest: unknown;
      return knowing(one, (isAtOnce) => ({
        forward(input, next) {
          const output = next(input);
          latest = output.saved;
          return output;
        },
        backward(input, next) {
          const output = next(input);
          if (isAtOnce() && input.saved !== latest) output.dx[0]! += 1;
          return output;
        },
      }));
    },
    async program(backend) {
      const { sync: calls } = layerOf(backend, 4);
      const passes = [x, dy].map((input) => calls.forwardPass(input));
      return passes.map((pass) => pass.backward(dy).dx.data.slice());
    },
  },
  {
    name: 'a call at once after one that failed',
    caughtBy: 'calls that return at once [host, rows, small]',
    why: 'when a forward within `synchronously` was refused, y of the next is wrong',
    right,
    spoil(one) {
      let hasFailed = false;
      return knowing(one, (isAtOnce) => ({
        training(input, next) {
          const failedBefore = hasFailed;
          hasFailed = isAtOnce();
          const output = next(input);
          hasFailed = false;
          if (failedBefore) output.y[0]! += 1;
          return output;
        },
      }));
    },
    async program(backend) {
      const layer = layerOf(backend, 4);
      try {
        layer.sync.forward({ data: x.data.slice().fill(Number.NaN, 0, 1), shape });
      } catch {
        // As it must be.
      }
      return layer.sync.forward(x).data.slice();
    },
  },
  {
    name: 'a call at once over one that runs',
    caughtBy: 'calls that return at once [host, rows, small]',
    why: 'an awaited forward keeps y in memory of the backend for a turn, and a call at once of another layer writes there',
    right,
    spoil(one) {
      let scratch: FloatArray = new Float32Array(0);
      return knowing(one, (isAtOnce) => ({
        training(input, next) {
          const output = next(input);
          if (scratch.length !== output.y.length || dtypeOf(scratch) !== dtypeOf(output.y)) scratch = output.y.slice();
          scratch.set(output.y);
          if (isAtOnce()) return output;
          return new Promise<void>((resolve) => setTimeout(resolve)).then(() => {
            output.y.set(scratch);
            return output;
          });
        },
      }));
    },
    async program(backend) {
      const running = layerOf(backend, 4).forward(x);
      // Its kernels have begun then.
      await new Promise<void>((resolve) => setImmediate(resolve));
      layerOf(backend, 4).sync.forward(dy);
      return (await running).data.slice();
    },
  },
];
