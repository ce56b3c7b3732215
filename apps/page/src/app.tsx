// The frame: what every view has around it, and which of the two is shown.
import { useEffect, useState } from 'preact/hooks';
import { Playground } from './playground/playground.js';
import { MeasureView } from './visit/measure-view.js';
import type { VisitStore } from './visit/visit-store.js';

const views = { '#measure': 'Measure', '#playground': 'See it work' } as const;
type Hash = keyof typeof views;

const currentHash = (): Hash => (location.hash in views ? (location.hash as Hash) : '#measure');

export function App({ store }: { readonly store: VisitStore }) {
  const hash = useHash();
  return (
    <>
      <header class="site">
        <p class="brand">BatchNorm for JavaScript</p>
        <nav aria-label="Views">
          {Object.entries(views).map(([target, title]) => (
            <a key={target} href={target} aria-current={target === hash ? 'page' : undefined}>
              {title}
            </a>
          ))}
        </nav>
      </header>
      <main>{hash === '#playground' ? <Playground /> : <MeasureView store={store} />}</main>
      <footer class="quiet">
        <p>
          Everything happens on this device: the page asks no other host for anything, and sends nothing to anybody.
        </p>
      </footer>
    </>
  );
}

function useHash(): Hash {
  const [hash, setHash] = useState(currentHash);
  useEffect(() => {
    const onChange = () => setHash(currentHash());
    addEventListener('hashchange', onChange);
    return () => removeEventListener('hashchange', onChange);
  }, []);
  return hash;
}
