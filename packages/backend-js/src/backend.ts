// The backend: plain JavaScript on the calling thread.
import { type Backend, hostBackend } from '@batchnorm/core-api';
import { Passes } from './passes.js';

/** BatchNorm in plain JavaScript, on the calling thread: runs wherever JavaScript runs. */
export function createJsBackend(): Backend {
  return hostBackend({
    name: 'js',
    passesFor: (plan) => new Passes(plan),
    capabilities: { dtypes: ['float16', 'float32', 'float64'] },
  });
}
