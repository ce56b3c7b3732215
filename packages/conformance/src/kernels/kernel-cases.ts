// The contract of kernels by itself: what a layer relies on, tried without one.
import type { Extent, Statistics } from '@batchnorm/core-api';
import { refusedUpload } from '../behaviours/refused-upload.js';
import { identical, repeated } from '../compare.js';
import type { Check, ConformanceCase, MemoryKind } from '../conformance-case.js';
import { refusedByLimit } from '../refused-by-limit.js';
import { type Forwarded, type Gradients, KernelBench } from './bench.js';

interface Rule {
  readonly name: string;
  readonly why: string;
  readonly check: (bench: KernelBench, training: boolean) => Promise<Check[]>;
}

const shapes = [
  [21, 6],
  [3, 6, 7],
  [1031, 5],
  [2, 5, 523],
  [5, 300],
  [2, 130, 3],
  [1027, 67],
];

const names = ['dx', 'dgamma', 'dbeta'] as const;
const same = (what: string, received: Gradients, expected: Gradients) =>
  names.map((name) => identical(`${what}: ${name}`, received[name], expected[name]));

/** y and gradients of kernels that did nothing else. */
async function alone(bench: KernelBench, seed: number, training: boolean): Promise<Gradients & { y: Gradients['dx'] }> {
  const kernels = await bench.prepare();
  const x = await bench.put(bench.values(seed));
  const { y, saved } = await bench.forward(kernels, x, bench.parameters(seed), training);
  const gradients = await bench.backward(kernels, saved, bench.values(seed + 1), training);
  return { y: await bench.elements(y), ...gradients };
}

const rules: readonly Rule[] = [
  {
    name: 'vectors are read before the first suspension',
    why: 'gamma, beta, mean and variance are the layer’s, which goes on when it has the promise',
    check: async (bench, training) => {
      const want = await alone(bench, 1, training);
      const kernels = await bench.prepare();
      const { gamma, beta, mean, variance, epsilon } = bench.parameters(1);
      const x = await bench.put(bench.values(1));
      const answer = bench.forward(kernels, x, { gamma, beta, mean, variance, epsilon }, training);
      for (const vector of [gamma, beta, mean, variance]) vector.fill(Number.NaN);
      const { y, saved } = await answer;
      return [
        identical('y', await bench.elements(y), want.y),
        ...same('gradients', await bench.backward(kernels, saved, bench.values(2), training), want),
      ];
    },
  },
  {
    name: 'what is saved does not change',
    why: 'with parameters, statistics or y that change later, nor with another forward',
    check: async (bench, training) => {
      const want = await alone(bench, 1, training);
      const kernels = await bench.prepare();
      const { gamma, beta, mean, variance, epsilon } = bench.parameters(1);
      const x = await bench.put(bench.values(1));
      const { y, saved } = await bench.forward(kernels, x, { gamma, beta, mean, variance, epsilon }, training);
      for (const vector of [gamma, beta, mean, variance]) vector.fill(7);
      if (ArrayBuffer.isView(y)) y.fill(7);
      else y.dispose();
      await bench.forward(kernels, await bench.put(bench.values(3)), bench.parameters(3), !training);
      return same('gradients', await bench.backward(kernels, saved, bench.values(2), training), want);
    },
  },
  {
    name: 'several saved forwards are alive at once',
    why: 'each until it is disposed, whatever becomes of the others',
    check: async (bench, training) => {
      const seeds = [1, 3, 5, 7];
      const want = new Map<number, Gradients>();
      for (const seed of seeds) want.set(seed, await alone(bench, seed, training));
      const kernels = await bench.prepare();
      const saved = new Map<number, Forwarded['saved']>();
      const forward = async (seed: number) => {
        const x = await bench.put(bench.values(seed));
        saved.set(seed, (await bench.forward(kernels, x, bench.parameters(seed), training)).saved);
      };
      const judge = async (what: string, seed: number) => {
        const dy = bench.values(seed + 1);
        return same(what, await bench.backward(kernels, saved.get(seed)!, dy, training), want.get(seed)!);
      };
      for (const seed of seeds) await forward(seed);
      const checks = [...(await judge('the second', 3)), ...(await judge('the first', 1))];
      bench.free(saved.get(3)!);
      checks.push(
        ...(await judge('the first, when the second is gone', 1)),
        ...(await judge('the third, when the second is gone', 5)),
        ...(await judge('the fourth, when the second is gone', 7)),
      );
      await forward(3);
      checks.push(...(await judge('the first, when another is there', 1)), ...(await judge('the other', 3)));
      return checks;
    },
  },
  {
    name: 'kernels know their own plan alone',
    why: 'those of other sizes, prepared later, and those of the same plan, disposed earlier, are nothing to them',
    check: async (bench, training) => {
      const want = await alone(bench, 1, training);
      const { outer, channels, inner } = bench.extent;
      const [kernels, twin] = [await bench.prepare(), await bench.prepare()];
      const others: Extent[] = [
        { outer: outer + 1, channels, inner },
        { outer: channels, channels: outer, inner },
        { outer: 1, channels, inner: inner * outer },
      ];
      for (const extent of others) await bench.prepare(extent);
      const x = await bench.put(bench.values(1));
      const { y, saved } = await bench.forward(kernels, x, bench.parameters(1), training);
      const ofTwin = await bench.forward(twin, await bench.put(bench.values(3)), bench.parameters(3), training);
      bench.free(ofTwin.saved);
      bench.free(twin);
      bench.free(await bench.prepare());
      const gradients = await bench.backward(kernels, saved, bench.values(2), training);
      const again = await bench.forward(kernels, await bench.put(bench.values(1)), bench.parameters(1), training);
      return [
        identical('y', await bench.elements(y), want.y),
        ...same('gradients', gradients, want),
        identical('y again', await bench.elements(again.y), want.y),
        ...same('gradients again', await bench.backward(kernels, again.saved, bench.values(2), training), want),
      ];
    },
  },
  {
    name: 'statistics are those of the batch',
    why: 'on the device also after the forwards that follow, and when what was saved is gone',
    check: async (bench, training) => {
      if (!training) return [];
      const forward = async (seed: number) => {
        const x = await bench.put(bench.values(seed));
        return bench.forward(await bench.prepare(), x, bench.parameters(seed), true);
      };
      const kernels = await bench.prepare();
      const [first, second] = [await bench.put(bench.values(1)), await bench.put(bench.values(3))];
      const { saved, statistics } = await bench.forward(kernels, first, bench.parameters(1), true);
      // On the host they are valid until the next call of these kernels.
      const early = statistics && 'read' in statistics ? undefined : await copyOf(statistics);
      bench.free(saved);
      await bench.forward(kernels, second, bench.parameters(3), true);
      const received = early ?? (await copyOf(statistics));
      const expected = await copyOf((await forward(1)).statistics);
      return [
        identical('mean', received.mean, expected.mean),
        identical('variance', received.variance, expected.variance),
      ];
    },
  },
];

/** Frees those on the device. */
async function copyOf(statistics: Forwarded['statistics']): Promise<Statistics> {
  if (statistics === undefined) throw new Error('statistics: received none, expected those of the batch');
  const { mean, variance } = 'read' in statistics ? await statistics.read() : statistics;
  if ('dispose' in statistics) statistics.dispose();
  return { mean: mean.slice(), variance: variance.slice() };
}

const memories: readonly MemoryKind[] = ['host', 'device'];

export const kernelCases: readonly ConformanceCase[] = rules.flatMap((rule) =>
  memories.map((memory) => caseOf(rule, memory)),
);

function caseOf({ name, why, check }: Rule, memory: MemoryKind): ConformanceCase {
  return {
    group: 'kernels',
    source: 'kernels',
    name: `${name} [${memory}]`,
    why,
    run: async (subject) => {
      if (memory === 'device' && !subject.backend.capabilities.deviceTensors) return refusedUpload(subject);
      const refusal = await refusedByLimit(subject, shapes);
      if (refusal) return refusal;
      const checks: Check[] = [];
      for (const shape of shapes) {
        for (const training of [true, false]) {
          const bench = new KernelBench(subject, memory, shape);
          try {
            for (const one of await check(bench, training)) {
              checks.push({
                ...repeated(one, subject),
                what: `[${shape}] ${training ? 'training' : 'inference'}, ${one.what}`,
              });
            }
          } finally {
            bench.dispose();
          }
        }
      }
      return checks;
    },
  };
}
