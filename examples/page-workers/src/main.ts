// The page: starts the workers, gives each its rows, and shows what came out.
import { connect } from './message-collective.js';
import type { Normalised, Share } from './share.js';

const features = 2;
const shares = [
  [1, 10, 2, 20],
  [3, 30],
  [4, 40, 5, 50, 6, 60],
];

const ports = connect(shares.length);
const results = await Promise.all(
  shares.map((values, rank) => {
    const worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' });
    const share: Share = {
      rank,
      size: shares.length,
      port: ports[rank]!,
      rows: Float64Array.from(values),
      shape: [values.length / features, features],
    };
    worker.postMessage(share, [share.port]);
    return new Promise<Normalised>((resolve, reject) => {
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = reject;
    });
  }),
);
const output = document.querySelector('pre')!;
output.textContent = JSON.stringify(results, undefined, 2);
output.ariaBusy = 'false';
