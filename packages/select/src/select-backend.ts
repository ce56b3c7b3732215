// Which of several backends to run here: the fastest, or the most accurate, of those that compute right.
import { BatchNormError, readUntrusted, refuse } from '@batchnorm/core-api';
import { cacheKey, executionText, readCache, writeCache } from './cache.js';
import { CandidateTrial } from './candidate-trial.js';
import { platformFingerprint } from './platform.js';
import { assertCandidates, type Question, resolveQuestion } from './question.js';
import type { Candidate, Pin, Selection, SelectionCache, SelectOptions } from './selection.js';
import { type Verdict, verdict } from './verdict.js';
import { Workload } from './workload.js';

type Choice = Verdict<CandidateTrial>;

/**
 * Makes the backend of each candidate, checks it on a tiny case with known results, times it on the asked shape in
 * alternation with the others, checks every element that it computed there, and chooses the best. Where times are tied,
 * the first in the order of the candidates is taken. Where one candidate is left it is checked and not timed. With
 * `measure: false` it chooses the first that passes both checks. A candidate that can't be made, computes wrong, or fails
 * on that shape is out, and the report says why. Backends that are not chosen are disposed.
 *
 * Errors: `INVALID_OPTION`; `LIMIT_EXCEEDED` for a shape of more elements than can be counted; `BACKEND_UNAVAILABLE`
 * where no candidate works, with every reason, or where the pinned one does not work or runs on something else; the
 * reason of `signal`.
 */
export async function selectBackend(candidates: readonly Candidate[], options: SelectOptions): Promise<Selection> {
  assertCandidates(candidates);
  const question = readUntrusted('INVALID_OPTION', 'options', () => resolveQuestion(options));
  const platform = platformFingerprint();
  const key = cacheKey(platform, candidates, question);
  const workload = new Workload(question);
  const trials = candidates.map((candidate) => new CandidateTrial(candidate, question, workload));
  try {
    const choice = await choose(trials, question, key);
    const backend = choice?.chosen.release();
    if (choice === undefined || backend === undefined) throw noneWorks(trials);
    const { chosen, decision, why } = choice;
    const { name, pin } = chosen;
    const notTried = `not tried: ${why}`;
    const reports = trials.map(({ report }) => (report.available === null ? { ...report, reason: notTried } : report));
    return {
      backend,
      report: { chosen: name, decision, why, pin, platform, candidates: reports },
      cache: writeCache(key, chosen.report),
    };
  } finally {
    await Promise.all(trials.map((trial) => trial.dispose()));
  }
}

async function choose(trials: readonly CandidateTrial[], question: Question, key: string): Promise<Choice | undefined> {
  if (question.pin !== undefined) return pinned(trials, question.pin);
  const remembered = await recall(trials, readCache(question.cache, key));
  if (remembered !== undefined) return remembered;
  return question.measure ? best(trials, question) : first(trials);
}

/** The pinned candidate. Errors: `INVALID_OPTION` where there is none of its name; `BACKEND_UNAVAILABLE`. */
async function pinned(trials: readonly CandidateTrial[], pin: Pin): Promise<Choice> {
  const chosen = trials.find(({ name }) => name === pin.name);
  if (chosen === undefined) {
    const names = trials.map(({ name }) => `'${name}'`).join(', ');
    refuse('INVALID_OPTION', `a pin of '${pin.name}'`, `one of the candidates ${names}`);
  }
  const expected = `'${pin.name}' on ${pin.engine}, ${pin.device}, as it was pinned`;
  const made = await chosen.probe();
  if (made && (chosen.pin.engine !== pin.engine || chosen.pin.device !== pin.device)) {
    refuse('BACKEND_UNAVAILABLE', `'${pin.name}' on ${chosen.pin.engine}, ${chosen.pin.device}`, expected);
  }
  if (!made || !(await chosen.check())) {
    const { failure: cause } = chosen;
    refuse('BACKEND_UNAVAILABLE', `'${pin.name}', which is out: ${chosen.report.reason}`, expected, { cause });
  }
  return { chosen, decision: 'pin', why: `'${pin.name}' is pinned` };
}

/** The cached choice, if it still works, on the same engine, device and threads. */
async function recall(
  trials: readonly CandidateTrial[],
  cache: SelectionCache | undefined,
): Promise<Choice | undefined> {
  const chosen = trials.find(({ name }) => name === cache?.chosen);
  if (chosen === undefined || !(await chosen.probe())) return undefined;
  if (executionText(chosen.report) !== cache?.execution) return undefined;
  if (!(await chosen.check())) return undefined;
  return { chosen, decision: 'cache', why: `'${chosen.name}' works, and is the choice in the cache` };
}

async function first(trials: readonly CandidateTrial[]): Promise<Choice | undefined> {
  for (const chosen of trials) {
    if (!(await chosen.probe()) || !(await chosen.check())) continue;
    return { chosen, decision: 'order', why: `'${chosen.name}' works, and comes before it` };
  }
  return undefined;
}

async function best(trials: readonly CandidateTrial[], question: Question): Promise<Choice | undefined> {
  const working: CandidateTrial[] = [];
  for (const trial of trials) if (await trial.probe()) working.push(trial);
  const [only, ...others] = working;
  if (only !== undefined && others.length === 0) return alone(only);
  const choice = verdict(await measureInTurns(working, question), question.prefer);
  if (question.memory === 'host') await choice?.chosen.measureAllocated(question.budgetMs / trials.length);
  return choice;
}

/** There is nothing to choose: it has to compute right. */
async function alone(chosen: CandidateTrial): Promise<Choice | undefined> {
  if (!(await chosen.check())) return undefined;
  return { chosen, decision: 'only', why: `'${chosen.name}' is the only candidate that works, and was not timed` };
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
    `received ${trials.length === 1 ? 'a candidate' : `${trials.length} candidates`}, expected one that works here: ${reasons}`,
    { cause: new AggregateError(trials.map(({ failure }) => failure)) },
  );
}
