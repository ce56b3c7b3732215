// A list of numbers, normalised as they are typed.
import { useMemo, useState } from 'react';
import { useNormalized } from './use-normalized.ts';

export function App() {
  const [text, setText] = useState('1 2 3 4');
  const numbers = useMemo(() => text.split(/\s+/).filter(Boolean).map(Number), [text]);
  const { backend, values, error } = useNormalized(numbers);
  return (
    <main>
      <h1>BatchNorm in React</h1>
      <label>
        Numbers <input value={text} onChange={({ target }) => setText(target.value)} />
      </label>
      <p>
        Backend: <output>{backend ?? 'measuring …'}</output>
      </p>
      {error ? (
        <p role="alert">{error.message}</p>
      ) : (
        <p>
          Normalised: <output>{values?.map((value) => value.toFixed(3)).join(', ')}</output>
        </p>
      )}
    </main>
  );
}
