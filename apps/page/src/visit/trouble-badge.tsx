// What went wrong on a backend, where it is mentioned: a lost device is shown, not swallowed.
import type { Trouble } from './visit.js';

export function TroubleBadges({ troubles }: { readonly troubles: readonly Trouble[] }) {
  return (
    <>
      {troubles.map(({ stage, code, message }, index) => (
        <span key={index} class="trouble" data-code={code ?? 'ERROR'}>
          <span class="badge failed">✗ {code ?? 'ERROR'}</span>{' '}
          <span class="quiet">
            in {stage}: {message}
          </span>
        </span>
      ))}
    </>
  );
}
