// What runs in Chromium: Node asks through `batchNormConformance`, and hears of every case through `onProgress`.
import type { CaseResult, FixtureFile } from '@batchnorm/conformance';
import type { Dtype } from '@batchnorm/core-api';
import { type BackendReport, runBackend } from './run-backend.js';

export interface PageRequest {
  readonly backend: string;
  readonly dtypes: readonly Dtype[];
  readonly quick: boolean;
  readonly fixtures?: readonly FixtureFile[];
}

/** What the page and Node have of each other. */
export interface PageGlobals {
  batchNormConformance(request: PageRequest): Promise<BackendReport>;
  onProgress(status: CaseResult['status']): Promise<void>;
}

const globals = globalThis as unknown as PageGlobals;

globals.batchNormConformance = async ({ backend, ...options }) => {
  const heard: Promise<void>[] = [];
  const onProgress = ({ status }: CaseResult) => void heard.push(globals.onProgress(status));
  const report = await runBackend(backend, 'chromium', { ...options, onProgress });
  await Promise.all(heard);
  return report;
};
