// What all records of a run have in common, and the records of a run.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { backends } from '@batchnorm/catalogue';
import { repository } from '../repository.js';
import type { Measured } from '../timing/measure.js';
import { thisCommit } from './commit.js';
import { thisMachine } from './machine.js';
import { type HistoryRecord, type RunFacts, recordOf, schema } from './record.js';

export function factsOfRun(chromium: string | undefined): RunFacts {
  return {
    schema,
    run: new Date().toISOString(),
    commit: thisCommit(),
    machine: thisMachine(),
    node: process.versions.node,
    ...(chromium !== undefined && { chromium }),
  };
}

export function recordsOf(measured: readonly Measured[], facts: RunFacts): HistoryRecord[] {
  return measured.map((one) => recordOf(one, versionOf(one), facts));
}

/** The version of a peer's library; for others that of the package in this repository. */
function versionOf({ case: { contender }, description }: Measured): string {
  if (description.version !== undefined) return description.version;
  const folder = backends[contender]?.folder ?? (contender.startsWith('layer-') ? 'core-api' : 'bench');
  const file = join(repository, 'packages', folder, 'package.json');
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}
