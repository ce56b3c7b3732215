// The worker: all heavy work of the page happens here, in a fresh one for each backend. It listens at once; the kit,
// whose golden files take a while to load, is imported when it is asked for.
import { BatchNormError } from '@batchnorm/core-api';
import { sampleCopy } from './bench/copy-limit.js';
import type { TimedLayer } from './bench/timed-layer.js';
import { probe } from './device/probe.js';
import type { FromWorker, ServiceName, Services, ToWorker } from './messages.js';
import { select } from './recommend/select.js';

type Handlers = {
  readonly [Name in ServiceName]: (
    request: Services[Name]['request'],
    onProgress: (value: Services[Name]['progress']) => void,
  ) => Promise<Services[Name]['answer']>;
};

/** Lives as long as the worker: one shape on one backend. */
let timed: TimedLayer | undefined;

const handlers: Handlers = {
  probe,
  kit: async (request, onProgress) => (await import('./kit/run-kit.js')).runKit(request, onProgress),
  open: async (request) => {
    const { TimedLayer } = await import('./bench/timed-layer.js');
    timed = await TimedLayer.open(request);
    return timed.verified;
  },
  sample: (request) => timed!.sample(request),
  copy: sampleCopy,
  select,
};

const reply = (message: FromWorker) => postMessage(message);

addEventListener('message', async ({ data: { service, request } }: MessageEvent<ToWorker>) => {
  try {
    const handle = handlers[service] as (request: unknown, onProgress: (value: never) => void) => Promise<never>;
    reply({ kind: 'done', value: await handle(request, (value) => reply({ kind: 'progress', value })) });
  } catch (error) {
    const code = error instanceof BatchNormError ? error.code : null;
    reply({ kind: 'failed', code, message: error instanceof Error ? error.message : String(error) });
  }
});
