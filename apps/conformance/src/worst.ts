// `pnpm conformance:worst`: looks for the largest error ÷ bound. Random batches of values that sums find hard go
// through a backend until the time is up; each result is compared as the kit compares it. Exits with 1 when a bound was
// exceeded.
import { backends, createBackend } from '@batchnorm/catalogue';
import { normal, type Problem, type Random, randomSeededBy, replay, solve } from '@batchnorm/conformance';
import type { Dtype } from '@batchnorm/core-api';
import { Command, InvalidArgumentError, Option } from 'commander';

interface Flags {
  readonly backend: string;
  readonly dtype: Dtype;
  readonly seconds: number;
  readonly seed: number;
}

/** The values of a channel, made when its M is known: element j. */
type Pattern = (random: Random, M: number) => (j: number) => number;

const pick = <T>(random: Random, of: readonly T[]): T => of[Math.floor(random() * of.length)]!;
const power = (random: Random, least: number, most: number) => 10 ** (least + (most - least) * random());
const nextFloat32 = (value: number) => value + 2 ** (Math.floor(Math.log2(value)) - 23);

const patterns: Readonly<Record<string, Pattern>> = {
  uniform: (random) => () => 8 * random() - 4,
  normal: (random) => {
    const [mean, deviation] = [power(random, -1, 7), power(random, -2, 2)];
    return () => mean + deviation * normal(random);
  },
  exponential: (random) => () => -Math.log(1 - random()),
  'heavy tails': (random) => () => normal(random) / Math.max(1e-3, random()),
  'an outlier': (random, M) => {
    const [at, size, rest] = [pick(random, [0, 1, 7, M >> 1, M - 1]), power(random, 0, 6), random() < 0.5 ? 1 : 0];
    return (j) => (j === at ? size : rest * normal(random));
  },
  'alike, some parts apart': (random, M) => {
    const [step, size] = [Math.max(1, Math.floor(M / pick(random, [3, 16, 17, 20, 21, 32]))), power(random, 0, 3)];
    return (j) => (j % step === 0 ? size : 0) + normal(random);
  },
  padded: (random, M) => {
    const [padding, mean] = [M * 0.3 * random(), power(random, 0, 2)];
    return (j) => (j < padding || j >= M - padding ? 0 : mean + normal(random));
  },
  drifting: (random, M) => {
    const [far, noise] = [power(random, -1, 5), random() < 0.5 ? 1 : 0];
    return (j) => (far * j) / M + noise * normal(random);
  },
  'two values': (random) => {
    const [one, other, share] = [normal(random), normal(random), random()];
    return () => (random() < share ? one : other);
  },
  'an ulp apart': (random) => {
    const [one, share] = [Math.fround(power(random, -3, 3)), pick(random, [0.01, 0.1, 0.5])];
    return () => (random() < share ? nextFloat32(one) : one);
  },
  constant: (random) => {
    const value = normal(random);
    return () => value;
  },
};

const sizes = [2, 3, 5, 7, 8, 9, 16, 17, 32, 63, 64, 65, 100, 128, 256, 257, 1000, 1024, 4096, 10_000];
const channels = 7;

/** The problem number `n`; its name says what is in its channels. */
function problemOf(n: number, random: Random): Problem {
  const M = pick(random, sizes);
  const inner = pick(
    random,
    [1, 1, 2, 4, 5, M].filter((length) => M % length === 0),
  );
  const chosen = () =>
    Array.from({ length: channels }, () => {
      const name = pick(random, Object.keys(patterns));
      return { name, values: patterns[name]!(random, M) };
    });
  const [x, dy] = [chosen(), chosen()];
  return {
    name: `${n}: x ${x.map(({ name }) => name).join(', ')}; dy ${dy.map(({ name }) => name).join(', ')}`,
    why: '',
    shape: [M / inner, channels, inner],
    options: { epsilon: pick(random, [1e-5, 1e-3, 1e-12]), momentum: pick(random, [0, 0.9]) },
    x: (_random, j, c) => x[c]!.values(j),
    dy: (_random, j, c) => dy[c]!.values(j),
    gamma: () => pick(random, [1, -2, 30]),
    beta: () => pick(random, [0, 1, 100]),
    steps: 2,
    wide: true,
  };
}

function positive(value: string): number {
  const number = Number(value);
  if (!(number > 0)) throw new InvalidArgumentError('Expected a number above 0.');
  return number;
}

const program = new Command('conformance:worst')
  .description('Looks for the largest error ÷ bound of a backend among random batches.')
  .addOption(new Option('--backend <name>').choices(Object.keys(backends)).makeOptionMandatory())
  .addOption(new Option('--dtype <dtype>').choices(['float32', 'float64']).default('float32'))
  .addOption(new Option('--seconds <number>', 'how long').default(30).argParser(positive))
  .addOption(new Option('--seed <number>').default(1).argParser(positive))
  .allowExcessArguments(false)
  .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : 2));

const { backend: name, dtype, seconds, seed } = program.parse().opts<Flags>();
const random = randomSeededBy(`worst ${seed}`);
const backend = await createBackend(name);
const worst = new Map<string, { readonly worst: number; readonly shape: string; readonly message: string }>();
const end = performance.now() + 1000 * seconds;
let count = 0;
for (; performance.now() < end; count++) {
  const problem = problemOf(count, random);
  for (const { what, worst: ratio, message } of await replay(solve(problem, dtype), backend, dtype)) {
    const quantity = what.replace(/step \d+/, 'training');
    if (ratio > (worst.get(quantity)?.worst ?? -1)) {
      worst.set(quantity, { worst: ratio, shape: `[${problem.shape}]`, message });
      if (ratio > 1) console.error(`${problem.name}, ${what}${message}`);
    }
  }
}
await backend.dispose();
console.log(`${name} ${dtype}: ${count} batches, error ÷ bound at most`);
for (const [quantity, found] of [...worst].sort(([, a], [, b]) => b.worst - a.worst)) {
  console.log(`  ${found.worst.toPrecision(3)}  ${quantity}, ${found.shape}`);
}
process.exitCode = [...worst.values()].some((found) => found.worst > 1) ? 1 : 0;
