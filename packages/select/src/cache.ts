// A choice as plain JSON, and whether a choice that the caller kept answers this question.
import type { Question } from './question.js';
import type { Candidate, CandidateReport, SelectionCache } from './selection.js';

const formatVersion = 1;
const contractVersion = 2;

/** Everything that a choice depends on, as a text: two selections with the same key have the same answer. */
export function cacheKey(platform: string, candidates: readonly Candidate[], question: Question): string {
  const { shape, axis, dtype, operation, memory, out, prefer, measure } = question;
  const names = candidates.map(({ name }) => name);
  return JSON.stringify({
    ...{ contractVersion, platform, names, shape, axis, dtype },
    ...{ operation, memory, out, prefer, measure },
  });
}

export function writeCache(key: string, chosen: CandidateReport): SelectionCache {
  return { formatVersion, key, chosen: chosen.name, execution: executionText(chosen) };
}

/** `cache`, if it is a choice for `key`; else undefined. Never throws. */
export function readCache(cache: unknown, key: string): SelectionCache | undefined {
  try {
    return read(cache, key);
  } catch {
    // A getter of the caller's object threw: that is no cache.
    return undefined;
  }
}

function read(cache: unknown, key: string): SelectionCache | undefined {
  const fields = Object(cache) as SelectionCache;
  return fields.formatVersion === formatVersion && fields.key === key ? fields : undefined;
}

/** Engine, device and threads: `accumulation` and `fallbackReason` follow from them. */
export function executionText({ engine, device, threads }: CandidateReport): string {
  return `${engine} on ${device}, threads: ${threads}`;
}
