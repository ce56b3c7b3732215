// The frame: what every view has around it, and which of the two is shown.
import { useEffect, useState } from 'preact/hooks';
import { links, repository } from './links.js';
import { Playground } from './playground/playground.js';
import { MeasureView } from './visit/measure-view.js';
import type { VisitStore } from './visit/visit-store.js';

const views = { '#measure': 'Measure', '#playground': 'See it work' } as const;
type Hash = keyof typeof views;

const currentHash = (): Hash => (location.hash in views ? (location.hash as Hash) : '#measure');

interface Properties {
  readonly store: VisitStore;
  readonly problems: readonly string[];
}

export function App({ store, problems }: Properties) {
  const hash = useHash();
  return (
    <>
      <header class="site">
        <p class="brand">BatchNorm for JavaScript</p>
        <nav aria-label="Site">
          {Object.entries(views).map(([target, title]) => (
            <a key={target} href={target} aria-current={target === hash ? 'page' : undefined}>
              {title}
            </a>
          ))}
          <a href={links.documentation}>Docs</a>
          <a href={repository}>GitHub</a>
        </nav>
      </header>
      <main>{hash === '#playground' ? <Playground /> : <MeasureView store={store} problems={problems} />}</main>
      <footer class="quiet">
        <p>
          Everything happens on this device: nothing is sent to anybody. The page is a part of{' '}
          <a href={repository}>batchnorm</a>, which is free software (MIT licence).
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
