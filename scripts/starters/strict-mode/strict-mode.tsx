// A component of the React starter's hook that comes and goes, and how many backends are alive.
import { type Backend, candidates } from 'batchnorm';
import { StrictMode, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { useBatchNorm } from './src/use-batch-norm.ts';

const alive = new Set<Backend>();
Object.assign(globalThis, { backendsAlive: () => alive.size });

const create = candidates.js.create;
Object.assign(candidates.js, {
  create: async () => {
    const backend = await create();
    alive.add(backend);
    const dispose = backend.dispose.bind(backend);
    return Object.assign(backend, {
      dispose: () => {
        alive.delete(backend);
        return dispose();
      },
    });
  },
});

function Layer({ channels }: { channels: number }) {
  const { layer, error } = useBatchNorm({ numFeatures: channels, backends: ['js'] });
  return <output>{error?.message ?? (layer ? `a layer of ${layer.options.numFeatures}` : 'none yet')}</output>;
}

function Page() {
  const [isMounted, setMounted] = useState(true);
  const [channels, setChannels] = useState(1);
  return (
    <>
      <button type="button" onClick={() => setMounted(!isMounted)}>
        {isMounted ? 'Unmount' : 'Mount'}
      </button>
      <button type="button" onClick={() => setChannels(channels + 1)}>
        One channel more
      </button>
      {isMounted && <Layer channels={channels} />}
    </>
  );
}

createRoot(document.querySelector('#root')!).render(
  <StrictMode>
    <Page />
  </StrictMode>,
);
