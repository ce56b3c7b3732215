// A worker: one rank, which normalises its rows with those of the others.
import { createJsBackend } from '@batchnorm/backend-js';
import { BatchNorm } from '@batchnorm/core-api';
import { messageCollective } from './message-collective.js';
import type { Normalised, Share } from './share.js';

addEventListener('message', async ({ data }: MessageEvent<Share>) => {
  const collective = messageCollective(data.rank, data.size, data.port);
  const numFeatures = data.shape[1];
  const layer = new BatchNorm({ backend: createJsBackend(), numFeatures, dtype: 'float64', momentum: 0, collective });
  const y = await layer.forward({ data: data.rows, shape: data.shape });
  const { runningMean, runningVariance } = await layer.state();
  postMessage({ y: [...y.data], runningMean, runningVariance } satisfies Normalised);
});
