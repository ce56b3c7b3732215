// A training step of y = max(BN(x) + residual, 0) on host arrays: fused, and as three steps of their own, which is what
// fusing saves.
import { allocate, type FloatArray, type MaybePromise } from '@batchnorm/core-api';
import type { Workload } from '../cases/workload.js';
import type { TimedCall } from './contender.js';
import { after } from './host-calls.js';
import { type Outputs, outputsFor } from './outputs.js';

/** Buffers of one step. */
export interface Step extends Outputs {
  readonly dy: FloatArray;
  /** Absent where neither a residual nor ReLU is the normalisation's. */
  readonly residual?: FloatArray;
  readonly dresidual?: FloatArray;
}

/** How a contender does the halves of a step. */
export interface Halves {
  forward(step: Step): MaybePromise<void>;
  /** The gradient of the latest forward. */
  backward(step: Step): MaybePromise<void>;
}

/** `fused` has the plan of ReLU, and is made when it is timed first. */
export function addReluCalls(
  workload: Workload,
  { plain, fused }: { readonly plain: Halves; readonly fused: () => MaybePromise<Halves> },
): TimedCall[] {
  const { x, dy, dtype, residual } = workload;
  const buffer = () => allocate(dtype, x.length);
  let step: (Required<Step> & { readonly z: FloatArray }) | undefined;
  let halves: Halves | undefined;
  const make = () => {
    step ??= { ...outputsFor(workload), dy, residual: residual(), dresidual: buffer(), z: buffer() };
    return step;
  };
  const results = () => ({ ...make() });
  const calls: TimedCall[] = [
    {
      operation: 'add-relu-step',
      memory: 'host',
      before: () => {
        make();
        return after(fused(), (made) => {
          halves = made;
        });
      },
      run: () => after(halves!.forward(step!), () => halves!.backward(step!)),
      results,
    },
    {
      operation: 'add-relu-apart',
      memory: 'host',
      before: () => void make(),
      run: () => {
        const { residual, dresidual, z, ...normalized } = step!;
        return after(plain.forward(normalized), () => {
          add(normalized.y, residual, z);
          relu(z, normalized.y);
          reluGradient(z, dy, dresidual);
          return plain.backward({ ...normalized, dy: dresidual });
        });
      },
      results,
    },
  ];
  // The three steps are loops over numbers.
  return dtype === 'float16' ? calls.slice(0, 1) : calls;
}

function add(a: FloatArray, b: FloatArray, sum: FloatArray): void {
  for (let i = 0; i < sum.length; i++) sum[i] = a[i]! + b[i]!;
}

function relu(z: FloatArray, y: FloatArray): void {
  for (let i = 0; i < y.length; i++) y[i] = Math.max(z[i]!, 0);
}

function reluGradient(z: FloatArray, dy: FloatArray, dz: FloatArray): void {
  for (let i = 0; i < dz.length; i++) dz[i] = z[i]! <= 0 ? 0 : dy[i]!;
}
