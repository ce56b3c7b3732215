// Every case of one backend as a table, made when somebody opens it.
import { type CaseResult, caseName, failedFirst, firstMessages, measureTexts, signs } from '@batchnorm/conformance';
import { useState } from 'preact/hooks';

interface Properties {
  readonly name: string;
  readonly results: readonly CaseResult[];
}

/** What failed comes first. */
export function CaseTable({ name, results }: Properties) {
  const [open, setOpen] = useState(false);
  return (
    <details onToggle={({ currentTarget }) => setOpen(currentTarget.open)}>
      <summary>Every case of {name}</summary>
      {open && (
        <table class="cases">
          <caption class="visually-hidden">Every case of {name}</caption>
          <thead>
            <tr>
              <th scope="col">case</th>
              <th scope="col">numbers</th>
              <th scope="col" class="number">
                error ÷ allowed
              </th>
              <th scope="col" class="number">
                error in ulp
              </th>
            </tr>
          </thead>
          <tbody>
            {failedFirst(results).map((result) => (
              <CaseRow key={caseName(result)} result={result} />
            ))}
          </tbody>
        </table>
      )}
    </details>
  );
}

function CaseRow({ result }: { readonly result: CaseResult }) {
  const { status, code, source, name, where, dtype, messages } = result;
  const { bound, ulp } = measureTexts(result);
  return (
    <tr class={status}>
      <th scope="row">
        <span class={`badge ${status}`}>{signs[status]}</span> {name}{' '}
        <span class="quiet">{[source, where, code].filter(Boolean).join(', ')}</span>
        {messages.length > 0 && (
          <ul class="messages">
            {firstMessages(result).map((message) => (
              <li key={message}>{message}</li>
            ))}
          </ul>
        )}
      </th>
      <td>{dtype}</td>
      <td class="number">{bound}</td>
      <td class="number">{ulp}</td>
    </tr>
  );
}
