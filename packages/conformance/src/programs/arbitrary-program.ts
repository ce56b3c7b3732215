// Random programs, which fast-check draws and shrinks: layers of different extents, layouts and dtypes, and calls in
// any order.
import type { Dtype, LayerOptions } from '@batchnorm/core-api';
import fc from 'fast-check';
import type { MemoryKind } from '../conformance-case.js';
import type { MaskKind } from '../masks.js';
import type { Change, Draw, Failure, LayerSpec, Means, Program, Step, Target } from './program.js';

export interface ProgramLimits {
  /** The first is the dtype of the first layer; other layers have any of them. */
  readonly dtypes: readonly [Dtype, ...Dtype[]];
  /** Where activations may lie. */
  readonly memories: readonly MemoryKind[];
  /** Whether calls may overlap. */
  readonly overlapping: boolean;
}

export function arbitraryProgram({ dtypes, memories, overlapping }: ProgramLimits): fc.Arbitrary<Program> {
  const [first, ...others] = dtypes;
  const layers = fc
    .tuple(layerOf(fc.constant(first)), fc.array(layerOf(fc.constantFrom(first, ...others)), { maxLength: 2 }))
    .map(([one, more]) => [one, ...more]);
  const awaited = overlapping ? fc.boolean() : fc.constant(true);
  const steps = fc.array(arbitraryStep(fc.constantFrom(...memories), awaited).map(someAtOnce), {
    minLength: 2,
    maxLength: 18,
    size: 'max',
  });
  return fc.record({ layers, steps });
}

function layerOf(dtype: fc.Arbitrary<Dtype>): fc.Arbitrary<LayerSpec> {
  return fc
    .record({
      dtype,
      channels: fc.oneof({ weight: 4, arbitrary: fc.integer({ min: 1, max: 9 }) }, fc.integer({ min: 10, max: 40 })),
      shapes: arbitraryShapes,
      momentum: arbitraryMomentum,
      epsilon: fc.constantFrom(1e-5, 1e-3, 1, 1e-8, 20, 0),
      scale: usually(true),
      center: usually(true),
      trackRunningStatistics: usually(true),
      runningVariance: fc.constantFrom('population' as const, 'sample' as const),
      activation: fc.constantFrom('none' as const, 'none' as const, 'relu' as const),
    })
    .map(({ channels, shapes: { axis, sizes }, ...rest }) => {
      const options: LayerOptions = { numFeatures: channels, axis, ...rest };
      return {
        options,
        shapes: sizes.map((others) => others.toSpliced(axis < 0 ? others.length + 1 + axis : axis, 0, channels)),
      };
    });
}

const arbitraryMomentum = fc.constantFrom(0.9, 0.5, 0, 1, 'cumulative' as const);
const usually = (value: boolean) => fc.constantFrom(value, value, value, !value);

/** An axis, and the other sizes of one or two batches of the same rank. */
const arbitraryShapes = fc.constantFrom([70], [6, 40], [4, 5, 6]).chain((largest) => {
  const rank = largest.length + 1;
  const sizes = fc.tuple(...largest.map((max) => fc.integer({ min: 1, max })));
  return fc.record({
    axis: fc.oneof({ weight: 3, arbitrary: fc.constant(1) }, fc.integer({ min: -rank, max: rank - 1 })),
    sizes: fc.array(sizes, { minLength: 1, maxLength: 2 }),
  });
});

const seed = fc.integer({ min: 0, max: 2 ** 31 - 1 });
const arbitraryDraw: fc.Arbitrary<Draw> = fc.record({
  seed,
  kind: fc.oneof(
    { weight: 5, arbitrary: fc.constant('usual' as const) },
    { weight: 1, arbitrary: fc.constant('far from zero' as const) },
    { weight: 1, arbitrary: fc.constant('mixed' as const) },
    { weight: 1, arbitrary: fc.constantFrom('rows of zeros' as const, 'one value' as const) },
    { weight: 1, arbitrary: fc.constant('NaN in a channel' as const) },
  ),
});
const mask = fc.record({
  seed,
  kind: fc.constantFrom<MaskKind>('padded', 'scattered', 'scattered', 'samples', 'one', 'all', 'none'),
});
const rarely = <T>(value: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 3, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: value });
const target: fc.Arbitrary<Target> = fc.constantFrom('new', 'given', 'used', 'input');
const source = fc.constantFrom('new' as const, 'rewritten' as const);
const changes = fc.constantFrom<Change>('all', 'one channel', 'to ones', 'to ones and zeros', 'to zeros');
const means = fc.constantFrom<Means>('writing', 'assignment');
const vectorTarget = fc.constantFrom('new' as const, 'given' as const);
const failures: readonly Failure[] = [
  'wrong channels',
  'dy of another shape',
  'bad state',
  'wrong dtype',
  'no values',
  'wrong mask',
  'wrong residual',
];

function arbitraryStep(memory: fc.Arbitrary<MemoryKind>, awaited: fc.Arbitrary<boolean>): fc.Arbitrary<Step> {
  const common = { layer: fc.nat(2), awaited };
  const does = <const Does extends Step['does']>(name: Does) => ({ ...common, does: fc.constant(name) });
  return fc.oneof(
    {
      weight: 10,
      arbitrary: fc.record({
        ...does('forward'),
        as: fc.constantFrom('latest' as const, 'latest' as const, 'pass' as const),
        memory,
        shape: fc.nat(1),
        x: arbitraryDraw,
        from: source,
        training: fc.boolean(),
        track: usually(true),
        y: target,
        mask: rarely(mask),
        residual: rarely(
          fc.oneof({ weight: 3, arbitrary: arbitraryDraw }, { weight: 1, arbitrary: fc.constant('x' as const) }),
        ),
      }),
    },
    {
      weight: 10,
      arbitrary: fc.record({
        ...does('backward'),
        of: fc.oneof(fc.constant('latest' as const), fc.nat(3)),
        dy: arbitraryDraw,
        from: source,
        dx: target,
        dresidual: fc.constantFrom('new' as const, 'given' as const, 'used' as const),
        dgamma: vectorTarget,
        dbeta: vectorTarget,
      }),
    },
    { weight: 1, arbitrary: fc.record({ ...does('release'), pass: fc.nat(3) }) },
    { weight: 2, arbitrary: fc.record({ ...does('setParameters'), seed, changes, by: means }) },
    { weight: 1, arbitrary: fc.record({ ...does('setMomentum'), momentum: arbitraryMomentum }) },
    { weight: 1, arbitrary: fc.record(does('resetRunningStatistics')) },
    {
      weight: 2,
      arbitrary: fc.record({
        ...does('loadState'),
        seed,
        changes: fc.constantFrom('all' as const, 'variance' as const),
      }),
    },
    { weight: 2, arbitrary: fc.record(does('state')) },
    { weight: 1, arbitrary: fc.record(does('dispose')) },
    { weight: 2, arbitrary: fc.record({ ...does('fail'), how: fc.constantFrom(...failures), memory }) },
  );
}

/** A quarter of them at once. By what is drawn already: another draw would make other programs of all seeds. */
function someAtOnce(step: Step): Step {
  if (step.does === 'forward') return { ...step, atOnce: step.x.seed % 4 === 0 };
  return step.does === 'backward' ? { ...step, atOnce: step.dy.seed % 4 === 0 } : step;
}
