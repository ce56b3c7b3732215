// A backend that says on stdout when it is made and when it is disposed.
import * as core from '@batchnorm/core-api';
import { createPlainBackend } from '../plain-backend.js';

export function createCountingBackend() {
  const backend = createPlainBackend(core);
  console.log('made');
  const dispose = () => {
    console.log('disposed');
    return backend.dispose();
  };
  return { ...backend, dispose };
}
