// What is made wrong, and who must notice.

export interface Target {
  /** Globs of the files that are mutated. */
  readonly files: readonly string[];
  /** Which tests are the judge: a config of vitest. */
  readonly judge: string;
}

const layer = [
  'activation',
  'batch-norm',
  'call-queue',
  'calls',
  'computation',
  'empty-batch',
  'extent',
  'forward-pass',
  'forward-record',
  'kernel-cache',
  'lent-input',
  'moments',
  'operations',
  'option-checks',
  'overlap',
  'resolve-options',
  'running-statistics',
  'shared-value',
  'state',
  'tensor',
  'tensor-checks',
  'untrusted',
  'vector',
];

export const targets: Readonly<Record<string, Target>> = {
  // loops.float64.ts is made from loops.float32.ts, and judged by other cases: those of its dtype.
  'backend-js': {
    files: ['packages/backend-js/src/{backend,blocks,passes,loops.float32,loops.float64}.ts'],
    judge: 'apps/mutation/judges/kit-on-js.config.ts',
  },
  'host-kernels': {
    files: ['packages/core-api/src/{host-backend,host-kernels,in-range,saved-forward}.ts'],
    judge: 'apps/mutation/judges/kit-on-js.config.ts',
  },
  'plain-backend': {
    files: ['packages/conformance/test/plain-backend.js'],
    judge: 'apps/mutation/judges/kit-on-plain.config.ts',
  },
  layer: {
    files: [`packages/core-api/src/{${layer.join(',')}}.ts`],
    judge: 'apps/mutation/judges/layer.config.ts',
  },
};
