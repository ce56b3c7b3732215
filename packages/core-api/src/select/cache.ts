// A choice as plain JSON, and whether one that somebody kept is an answer to this question.
import type { Execution } from '../backend.js';
import type { Question } from './question.js';
import type { Candidate, SelectionCache } from './selection.js';

const formatVersion = 1;
const contractVersion = 1;

/** Everything that a choice depends on; what is not in it may differ. */
export function cacheKey(platform: string, candidates: readonly Candidate[], question: Question): string {
  const { shape, axis, dtype, operation, prefer, measure } = question;
  const names = candidates.map(({ name }) => name);
  return JSON.stringify({ contractVersion, platform, names, shape, axis, dtype, operation, prefer, measure });
}

export function writeCache(key: string, chosen: string, execution: Execution): SelectionCache {
  return { formatVersion, key, chosen, execution: describeExecution(execution) };
}

/** `cache`, when it is one that answers `key`; else undefined. */
export function readCache(cache: unknown, key: string): SelectionCache | undefined {
  try {
    return read(cache, key);
  } catch {
    // A getter of somebody else's: malformed, as anything that is no cache.
    return undefined;
  }
}

function read(cache: unknown, key: string): SelectionCache | undefined {
  const fields = Object(cache) as SelectionCache;
  return fields.formatVersion === formatVersion && fields.key === key ? fields : undefined;
}

/** Not its accumulation or fallback: those follow from engine and device. */
export function describeExecution({ engine, device, threads }: Execution): string {
  return `${engine} on ${device}, threads: ${threads}`;
}
