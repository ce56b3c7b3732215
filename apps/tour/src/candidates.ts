// Which backends this machine has, and why not the others.
import { backendsOn, createBackend } from '@batchnorm/catalogue';
import { BatchNormError, type Execution } from '@batchnorm/core-api';
import type { Candidate } from '@batchnorm/select';

export interface Found {
  readonly candidate: Candidate;
  /** What runs, or null. */
  readonly execution: Execution | null;
  /** Why nothing runs, or null. */
  readonly reason: string | null;
}

/** Makes each backend that can run in Node, once. Errors: what is no `BACKEND_UNAVAILABLE`. */
export async function findCandidates(): Promise<Found[]> {
  const found: Found[] = [];
  for (const name of backendsOn('node')) {
    found.push(await tryCandidate({ name, create: () => createBackend(name) }));
  }
  return found;
}

async function tryCandidate(candidate: Candidate): Promise<Found> {
  try {
    const backend = await candidate.create();
    const execution = { ...backend.execution };
    await backend.dispose();
    return { candidate, execution, reason: null };
  } catch (error) {
    if (!(error instanceof BatchNormError) || error.code !== 'BACKEND_UNAVAILABLE') throw error;
    return { candidate, execution: null, reason: error.message };
  }
}
