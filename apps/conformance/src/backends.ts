// The backends that `--backend` names.
import { createJsBackend } from '@batchnorm/backend-js';
import type { Backend, MaybePromise } from '@batchnorm/core-api';

export const backends: Readonly<Record<string, () => MaybePromise<Backend>>> = {
  js: createJsBackend,
};
