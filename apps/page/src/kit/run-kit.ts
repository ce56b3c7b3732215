// The conformance kit in a worker, case by case. A lost device ends it.
import { createBackend } from '@batchnorm/catalogue';
import { runConformance, runsOf, suite } from '@batchnorm/conformance';
import type { BackendName } from '../backends.js';
import type { KitProgress } from '../messages.js';
import { lostDevice } from './lost-device.js';

/** Errors: those of the factory; `DEVICE_LOST`, with the case that met it. */
export async function runKit(
  { backend }: { readonly backend: BackendName },
  onProgress: (progress: KitProgress) => void,
): Promise<null> {
  onProgress({ plan: runsOf(suite).map(({ one: { group }, dtype }) => ({ group, dtype })) });
  const controller = new AbortController();
  await runConformance(() => createBackend(backend), {
    signal: controller.signal,
    // Visitors wait for it.
    quick: true,
    onProgress: (result) => {
      const loss = lostDevice(result);
      if (loss) controller.abort(loss);
      else onProgress({ result });
    },
  });
  // Aborted by its last case: there was none left to reject at.
  controller.signal.throwIfAborted();
  return null;
}
