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
  'calibrate',
  'calibration',
  'calls',
  'collective',
  'computation',
  'counted-positions',
  'empty-batch',
  'extent',
  'float16',
  'foreign-names',
  'forward-pass',
  'forward-record',
  'group',
  'in-process-collective',
  'kernel-cache',
  'lent-input',
  'mask',
  'moments',
  'operations',
  'option-checks',
  'overlap',
  'resolve-options',
  'running-statistics',
  'shared-value',
  'state',
  'state-options',
  'state-vectors',
  'tensor',
  'tensor-checks',
  'untrusted',
  'vector',
];

export const targets: Readonly<Record<string, Target>> = {
  // Loops of float16 and float64 are made from those of float32, and judged by other cases: those of their dtypes.
  'backend-js': {
    files: ['packages/backend-js/src/{backend,blocks,passes,loops.*,gated.*}.ts'],
    judge: 'apps/mutation/judges/kit-on-js.config.ts',
  },
  'host-kernels': {
    files: ['packages/core-api/src/{host-backend,host-kernels,in-range,saved-forward,small-products}.ts'],
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
