// Which of several backends to run here: the fastest, or the most accurate, of those that compute right.
import { BatchNormError } from '../errors.js';
import { Batch } from './batch.js';
import { cacheKey, describeExecution, readCache, writeCache } from './cache.js';
import { Contender } from './contender.js';
import { platformFingerprint } from './platform.js';
import { assertCandidates, type Question, resolveQuestion } from './question.js';
import type { Candidate, Selection, SelectionCache, SelectOptions } from './selection.js';

/**
 * Makes each candidate's backend, checks it on a tiny case with known results, times it on the asked shape in alternation with
 * the others, checks every element that it computed there, and takes the best. Without measuring, the first that passes both checks.
 * One that can't be made, computes wrong, or fails on that shape is out, and the report says why. What was made and not chosen
 * is disposed.
 *
 * Errors: `INVALID_OPTION`; `LIMIT_EXCEEDED` for a shape of more elements than can be counted; `BACKEND_UNAVAILABLE` when no candidate works, with every reason; the reason of `signal`.
 */
export async function selectBackend(candidates: readonly Candidate[], options: SelectOptions): Promise<Selection> {
  assertCandidates(candidates);
  const question = resolveQuestion(options);
  const platform = platformFingerprint();
  const key = cacheKey(platform, candidates, question);
  const batch = new Batch(question);
  const contenders = candidates.map((candidate) => new Contender(candidate, question, batch));
  try {
    const remembered = await recall(contenders, readCache(question.cache, key));
    const choose = question.measure ? best : first;
    const chosen = remembered ?? (await choose(contenders, question));
    const backend = chosen?.release();
    if (chosen === undefined || backend === undefined) throw noneWorks(contenders);
    const { name } = chosen;
    const fromCache = chosen === remembered;
    const why = `not tried: '${name}' works, and ${fromCache ? 'is the choice in the cache' : 'comes before it'}`;
    const reports = contenders.map(({ report }) => (report.available === null ? { ...report, reason: why } : report));
    return {
      backend,
      report: { chosen: name, platform, fromCache, candidates: reports },
      cache: writeCache(key, name, chosen.report.execution!),
    };
  } finally {
    await Promise.all(contenders.map((contender) => contender.dispose()));
  }
}

/** The cached choice, if it still works and still runs on the same. */
async function recall(
  contenders: readonly Contender[],
  cache: SelectionCache | undefined,
): Promise<Contender | undefined> {
  const contender = contenders.find(({ name }) => name === cache?.chosen);
  if (contender === undefined || !(await contender.probe())) return undefined;
  if (describeExecution(contender.report.execution!) !== cache?.execution) return undefined;
  return (await contender.check()) ? contender : undefined;
}

async function first(contenders: readonly Contender[]): Promise<Contender | undefined> {
  for (const contender of contenders) if ((await contender.probe()) && (await contender.check())) return contender;
  return undefined;
}

async function best(contenders: readonly Contender[], question: Question): Promise<Contender | undefined> {
  const working: Contender[] = [];
  for (const contender of contenders) if (await contender.probe()) working.push(contender);
  const measured = await race(working, question);
  const badness = ({ report }: Contender) => (question.prefer === 'speed' ? report.milliseconds! : report.error!);
  // Sorting is stable: of equals the first stays first.
  return measured.sort((a, b) => badness(a) - badness(b))[0];
}

/** Times all of them in alternation; those that did it to the end. */
async function race(contenders: readonly Contender[], question: Question): Promise<Contender[]> {
  const shareMs = question.budgetMs / contenders.length;
  let racing = contenders;
  while (racing.length > 0) {
    const left: Contender[] = [];
    for (const contender of racing) {
      if ((await contender.measure(shareMs)) && contender.report.milliseconds === null) left.push(contender);
    }
    racing = left;
  }
  return contenders.filter(({ report }) => report.milliseconds !== null);
}

function noneWorks(contenders: readonly Contender[]): BatchNormError {
  const reasons = contenders.map(({ report: { name, reason } }) => `${name}: ${reason}`).join('; ');
  return new BatchNormError(
    'BACKEND_UNAVAILABLE',
    `received ${contenders.length} candidates, expected one that works here: ${reasons}`,
    { cause: new AggregateError(contenders.map(({ failure }) => failure)) },
  );
}
