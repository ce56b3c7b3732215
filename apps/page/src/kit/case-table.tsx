// Every case of one backend as a table, made when somebody opens it.
import { type CaseResult, type Status, signs } from '@batchnorm/conformance';
import { useState } from 'preact/hooks';
import { boundText, ulpText } from '../number-text.js';

const order: readonly Status[] = ['failed', 'skipped', 'refused', 'passed'];
const mostMessages = 3;

interface Properties {
  readonly name: string;
  readonly results: readonly CaseResult[];
}

/** What failed comes first. */
export function CaseTable({ name, results }: Properties) {
  const [open, setOpen] = useState(false);
  const sorted = open ? results.toSorted((a, b) => order.indexOf(a.status) - order.indexOf(b.status)) : [];
  return (
    <details onToggle={({ currentTarget }) => setOpen(currentTarget.open)}>
      <summary>Every case of {name}</summary>
      {open && (
        <table class="cases">
          <caption class="visually-hidden">Every case of {name}</caption>
          <thead>
            <tr>
              <th scope="col">case</th>
              <th scope="col">dtype</th>
              <th scope="col" class="number">
                × bound
              </th>
              <th scope="col" class="number">
                ulp
              </th>
            </tr>
          </thead>
          <tbody>
            {sorted.map((result) => (
              <CaseRow key={`${result.dtype} ${result.source} ${result.name}`} result={result} />
            ))}
          </tbody>
        </table>
      )}
    </details>
  );
}

function CaseRow({ result }: { readonly result: CaseResult }) {
  const { status, code, source, name, where, dtype, worst, ulps, messages } = result;
  const measured = status === 'passed' || status === 'failed';
  return (
    <tr class={status}>
      <th scope="row">
        <span class={`badge ${status}`}>{signs[status]}</span> {name}{' '}
        <span class="quiet">{[source, where, code].filter(Boolean).join(', ')}</span>
        {messages.length > 0 && (
          <ul class="messages">
            {messages.slice(0, mostMessages).map((message) => (
              <li key={message}>{message}</li>
            ))}
          </ul>
        )}
      </th>
      <td>{dtype}</td>
      <td class="number">{measured ? boundText(worst) : status === 'refused' ? 'refused' : 'skip'}</td>
      <td class="number">{measured ? ulpText(ulps) : ''}</td>
    </tr>
  );
}
