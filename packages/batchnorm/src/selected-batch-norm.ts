// A layer that owns the backend which was chosen for it.
/// <reference lib="esnext.disposable" preserve="true" />
import { BatchNorm, type BatchNormOptions } from '@batchnorm/core-api';
import type { Selection, SelectionCache, SelectionReport } from '@batchnorm/select';

/** A `BatchNorm` on the backend `options.backend`, which other layers may use for as long as this one lives. */
export class SelectedBatchNorm extends BatchNorm {
  /** Which backends there were, and why this one. Plain JSON. */
  readonly report: SelectionReport;
  /** For `createBatchNorm({ cache })` the next time. Plain JSON. */
  readonly cache: SelectionCache;

  /** Errors: those of `BatchNorm`; the backend then is still the caller's. */
  constructor(layerOptions: Omit<BatchNormOptions, 'backend'>, { backend, report, cache }: Selection) {
    super({ ...layerOptions, backend });
    this.report = report;
    this.cache = cache;
    Object.preventExtensions(this);
  }

  /** Frees the layer, and then its backend. Again is allowed and does nothing. */
  override async dispose(): Promise<void> {
    try {
      await super.dispose();
    } finally {
      await this.options.backend.dispose();
    }
  }

  /** `await using layer = await createBatchNorm(…)` disposes it at the end of the block. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }
}
