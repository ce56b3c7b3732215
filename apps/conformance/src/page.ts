// What runs in Chromium: Node asks through `batchNormConformance`, and hears of every case through `onProgress`.
import { createBackend } from '@batchnorm/catalogue';
import { type BackendReport, type CaseResult, type FixtureFile, runBackend } from '@batchnorm/conformance';
import type { Dtype } from '@batchnorm/core-api';

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
  const report = await runBackend(backend, 'chromium', () => createBackend(backend), { ...options, onProgress });
  await Promise.all(heard);
  return report;
};
