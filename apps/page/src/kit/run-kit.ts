// The conformance kit in a worker, case by case. A lost device ends it: what follows would say nothing about the backend.
import { type CaseResult, dtypes, runConformance, suite } from '@batchnorm/conformance';
import { BatchNormError } from '@batchnorm/core-api';
import type { BackendName } from '../backends.js';
import { createBackend } from '../create-backend.js';
import type { KitProgress } from '../messages.js';

/** Errors: those of the factory; `DEVICE_LOST`, with the case that met it. */
export async function runKit(
  { backend }: { readonly backend: BackendName },
  onProgress: (progress: KitProgress) => void,
): Promise<null> {
  onProgress({ plan: dtypes.flatMap((dtype) => suite.map(({ group }) => ({ group, dtype }))) });
  const controller = new AbortController();
  await runConformance(() => createBackend(backend), {
    signal: controller.signal,
    onProgress: (result) => {
      if (metLostDevice(result)) controller.abort(deviceLost(result));
      else if (!controller.signal.aborted) onProgress({ result });
    },
  });
  // Aborted by its last case: there was none left to reject at.
  controller.signal.throwIfAborted();
  return null;
}

/** No case expects that code, so where a message has it the device is gone. */
function metLostDevice({ status, messages }: CaseResult): boolean {
  return status === 'failed' && messages.some((message) => message.includes('DEVICE_LOST'));
}

function deviceLost({ dtype, name }: CaseResult): BatchNormError {
  return new BatchNormError('DEVICE_LOST', `the device was lost in case '${name}' (${dtype})`);
}
