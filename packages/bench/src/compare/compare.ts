// Two working trees against each other: pairs of sets of processes, one of each tree, that sample the same cases
// in turn.
import { type Case, nameOfCase, type Operation, type Setting } from '../cases/case.js';
import type { Runner } from '../runners/runner.js';
import type { Sampling } from '../timing/clock.js';
import { shuffled } from '../timing/rounds.js';
import { median, quantile } from '../timing/statistics.js';
import { judge, type Verdict } from './verdict.js';

export interface CompareOptions {
  readonly contenders: readonly string[];
  readonly settings: readonly Setting[];
  readonly operations: readonly Operation[];
  /**
   * How many pairs of processes. What compilers and memory allocators do by chance differs between processes, not
   * within one.
   */
  readonly pairs: number;
  readonly rounds: number;
  readonly sampling: Sampling;
  readonly threshold: number;
  /** How often cases that are slower or too noisy are measured again, on top: an answer counts all samples. */
  readonly patience: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (text: string, done: number, of: number) => void;
}

export interface Compared extends Verdict {
  readonly name: string;
  readonly case: Case;
  /** Medians over everything, in seconds. */
  readonly base: number;
  readonly head: number;
}

export interface Comparison {
  readonly compared: readonly Compared[];
  /** What could not be compared, and why: new in head, gone from it, unavailable here. */
  readonly skipped: readonly string[];
  /** What head gets wrong. */
  readonly wrong: readonly string[];
}

/** `open`: a process with the packages of one side. Errors: the signal's reason; those of a process that dies. */
export async function compareTrees(
  open: (side: 'base' | 'head') => Runner,
  options: CompareOptions,
): Promise<Comparison> {
  const { pairs, patience, threshold } = options;
  const state = new State();
  for (let attempt = 0; attempt <= patience; attempt++) {
    const wanted = attempt === 0 ? undefined : state.undecided(threshold);
    if (wanted?.size === 0) break;
    for (let pair = 0; pair < pairs; pair++) {
      const title = attempt === 0 ? 'pair' : `again, ${wanted!.size} cases, pair`;
      await samplePair(open, options, state, wanted, attempt * pairs + pair, `${title} ${pair + 1} of ${pairs}`);
    }
  }
  return state.comparison(threshold);
}

/** The samples of one case: seconds of each round, in one cluster for each pair. */
interface Samples {
  readonly case: Case;
  readonly base: number[][];
  readonly head: number[][];
}

class State {
  readonly samples: Map<string, Samples> = new Map();
  readonly skipped: Set<string> = new Set();
  readonly wrong: Set<string> = new Set();

  undecided(threshold: number): Set<string> {
    const names = [...this.samples].filter(([, one]) => {
      const { answer } = judge(ratiosOf(one), threshold);
      return answer === 'slower' || answer === 'too noisy to tell';
    });
    return new Set(names.map(([name]) => name));
  }

  comparison(threshold: number): Comparison {
    const compared = [...this.samples].map(([name, one]): Compared => {
      const [base, head] = [median(one.base.flat()), median(one.head.flat())];
      return { name, case: one.case, base, head, ...judge(ratiosOf(one), threshold) };
    });
    return { compared, skipped: [...this.skipped], wrong: [...this.wrong] };
  }
}

const ratiosOf = ({ base, head }: Samples) =>
  head.map((cluster, pair) => cluster.map((s, round) => s / base[pair]![round]!));

async function samplePair(
  open: (side: 'base' | 'head') => Runner,
  { contenders, settings, operations, rounds, sampling, signal, onProgress }: CompareOptions,
  state: State,
  wanted: ReadonlySet<string> | undefined,
  seed: number,
  title: string,
): Promise<void> {
  const sides = { base: open('base'), head: open('head') };
  try {
    for (const [index, setting] of settings.entries()) {
      const shared = await prepareBoth(sides, { contenders, setting, operations }, state, wanted);
      const clusters = shared.map(({ one }) => {
        const name = nameOfCase(one);
        const samples = state.samples.get(name) ?? { case: one, base: [], head: [] };
        state.samples.set(name, samples);
        samples.base.push([]);
        samples.head.push([]);
        return samples;
      });
      for (let round = 0; round < rounds; round++) {
        for (const at of shuffled(shared.length, seed * rounds + round)) {
          signal?.throwIfAborted();
          // Which side goes first changes from round to round, and is not the same for all cases.
          const order = (at + round + seed) % 2 === 0 ? (['base', 'head'] as const) : (['head', 'base'] as const);
          for (const side of order) {
            const samples = await sides[side].sample(shared[at]!.id, sampling);
            clusters[at]![side].at(-1)!.push(undisturbed(samples));
          }
        }
        onProgress?.(title, index * rounds + round + 1, settings.length * rounds);
      }
      for (const runner of Object.values(sides)) await runner.release();
    }
  } finally {
    for (const runner of Object.values(sides)) await runner.close();
  }
}

/** The time that a quarter of the samples are below: whatever else the machine does only ever adds to a sample. */
function undisturbed(samples: readonly number[]): number {
  return quantile([...samples], 0.25);
}

interface Shared {
  readonly one: Case;
  readonly id: string;
}

/** The calls that both sides have, and that neither gets wrong. */
async function prepareBoth(
  sides: Readonly<Record<'base' | 'head', Runner>>,
  asked: {
    readonly contenders: readonly string[];
    readonly setting: Setting;
    readonly operations: readonly Operation[];
  },
  state: State,
  wanted: ReadonlySet<string> | undefined,
): Promise<Shared[]> {
  const { setting, operations } = asked;
  const dataPaths = ['host', 'device'] as const;
  const caseOf = (contender: string, { operation, memory }: Pick<Case, 'operation' | 'memory'>): Case => ({
    ...setting,
    operation,
    contender,
    platform: 'node',
    memory,
  });
  const shared: Shared[] = [];
  for (const contender of asked.contenders) {
    const all = operations.flatMap((operation) => dataPaths.map((memory) => ({ operation, memory })));
    if (wanted && !all.some((call) => wanted.has(nameOfCase(caseOf(contender, call))))) continue;
    const request = { contender, ...setting, operations, dataPaths };
    const found = { head: await sides.head.prepare(request), base: await sides.base.prepare(request) };
    const missing = (['head', 'base'] as const).find((side) => !('calls' in found[side]));
    if (missing || !('calls' in found.head) || !('calls' in found.base)) {
      const why = found[missing!];
      if (missing === 'head' && 'failed' in why) state.wrong.add(`${contender}: ${why.failed}`);
      else
        state.skipped.add(
          `${contender} in ${missing}: ${'failed' in why ? why.failed : 'unavailable' in why ? why.unavailable : ''}`,
        );
      continue;
    }
    for (const call of found.head.calls) {
      const one = caseOf(contender, call);
      const name = nameOfCase(one);
      const inBase = found.base.calls.find(({ id }) => id === call.id);
      if (call.verdict.wrong !== null) state.wrong.add(`${name}: ${call.verdict.wrong}`);
      else if (!inBase) state.skipped.add(`${name} is new`);
      else if (inBase.verdict.wrong !== null) state.skipped.add(`${name} is wrong in base`);
      else if (wanted?.has(name) ?? true) shared.push({ one, id: call.id });
    }
  }
  return shared;
}
