// Which of several backends to run here: the fastest, or the most accurate, of those that compute right.
import { BatchNormError } from '@batchnorm/core-api';
import { cacheKey, describeExecution, readCache, writeCache } from './cache.js';
import { CandidateTrial } from './candidate-trial.js';
import { platformFingerprint } from './platform.js';
import { assertCandidates, type Question, resolveQuestion } from './question.js';
import type { Candidate, Selection, SelectionCache, SelectOptions } from './selection.js';
import { Workload } from './workload.js';

/**
 * Makes the backend of each candidate, checks it on a tiny case with known results, times it on the asked shape in
 * alternation with the others, checks every element that it computed there, and chooses the best. With `measure: false`
 * it chooses the first that passes both checks. A candidate that can't be made, computes wrong, or fails on that shape
 * is out, and the report says why. Backends that are not chosen are disposed.
 *
 * Errors: `INVALID_OPTION`; `LIMIT_EXCEEDED` for a shape of more elements than can be counted; `BACKEND_UNAVAILABLE`
 * where no candidate works, with every reason; the reason of `signal`.
 */
export async function selectBackend(candidates: readonly Candidate[], options: SelectOptions): Promise<Selection> {
  assertCandidates(candidates);
  const question = resolveQuestion(options);
  const platform = platformFingerprint();
  const key = cacheKey(platform, candidates, question);
  const workload = new Workload(question);
  const trials = candidates.map((candidate) => new CandidateTrial(candidate, question, workload));
  try {
    const remembered = await recall(trials, readCache(question.cache, key));
    const choose = question.measure ? best : first;
    const chosen = remembered ?? (await choose(trials, question));
    const backend = chosen?.release();
    if (chosen === undefined || backend === undefined) throw noneWorks(trials);
    const { name } = chosen;
    const fromCache = chosen === remembered;
    const why = `not tried: '${name}' works, and ${fromCache ? 'is the choice in the cache' : 'comes before it'}`;
    const reports = trials.map(({ report }) => (report.available === null ? { ...report, reason: why } : report));
    return {
      backend,
      report: { chosen: name, platform, fromCache, candidates: reports },
      cache: writeCache(key, name, chosen.report.execution!),
    };
  } finally {
    await Promise.all(trials.map((trial) => trial.dispose()));
  }
}

/** The cached choice, if it still works, on the same engine, device and threads. */
async function recall(
  trials: readonly CandidateTrial[],
  cache: SelectionCache | undefined,
): Promise<CandidateTrial | undefined> {
  const trial = trials.find(({ name }) => name === cache?.chosen);
  if (trial === undefined || !(await trial.probe())) return undefined;
  if (describeExecution(trial.report.execution!) !== cache?.execution) return undefined;
  return (await trial.check()) ? trial : undefined;
}

async function first(trials: readonly CandidateTrial[]): Promise<CandidateTrial | undefined> {
  for (const trial of trials) if ((await trial.probe()) && (await trial.check())) return trial;
  return undefined;
}

async function best(trials: readonly CandidateTrial[], question: Question): Promise<CandidateTrial | undefined> {
  const working: CandidateTrial[] = [];
  for (const trial of trials) if (await trial.probe()) working.push(trial);
  const measured = await measureInTurns(working, question);
  const badness = ({ report }: CandidateTrial) => (question.prefer === 'speed' ? report.milliseconds! : report.error!);
  // Sorting is stable: of equals the first stays first.
  const [chosen] = measured.sort((a, b) => badness(a) - badness(b));
  if (question.memory === 'host') await chosen?.measureAllocated(question.budgetMs / trials.length);
  return chosen;
}

/** Times all of them in alternation. Returns those that did not fail. */
async function measureInTurns(trials: readonly CandidateTrial[], question: Question): Promise<CandidateTrial[]> {
  const shareMs = question.budgetMs / trials.length;
  let unmeasured = trials;
  while (unmeasured.length > 0) {
    const left: CandidateTrial[] = [];
    for (const trial of unmeasured) {
      if ((await trial.measure(shareMs)) && trial.report.milliseconds === null) left.push(trial);
    }
    unmeasured = left;
  }
  return trials.filter(({ report }) => report.milliseconds !== null);
}

function noneWorks(trials: readonly CandidateTrial[]): BatchNormError {
  const reasons = trials.map(({ report: { name, reason } }) => `${name}: ${reason}`).join('; ');
  return new BatchNormError(
    'BACKEND_UNAVAILABLE',
    `received ${trials.length} candidates, expected one that works here: ${reasons}`,
    { cause: new AggregateError(trials.map(({ failure }) => failure)) },
  );
}
