import type * as core from '@batchnorm/core-api';

export function createPlainBackend(own: typeof core): core.Backend;
