// The conformance kit live: how many checks each backend has passed, and of what kinds they are.
import { accuracyText, type CaseResult, countsOf, type Group, groups, statuses, worstOf } from '@batchnorm/conformance';
import { percentText } from '@batchnorm/reporting';
import { useMemo, useState } from 'preact/hooks';
import { backends } from '../backends.js';
import { links } from '../links.js';
import { reach } from '../recommend/recommend.js';
import { TroubleBadges } from '../visit/trouble-badge.js';
import type { BackendFindings, Visit } from '../visit/visit.js';
import { groupWords } from '../words.js';
import { CaseTable } from './case-table.js';

export function KitSection({ visit }: { readonly visit: Visit }) {
  const { kit } = visit.settings;
  return (
    <section aria-labelledby="kit-title">
      <h2 id="kit-title">Is it right?</h2>
      <p class="quiet">
        Results are compared with those of NumPy, PyTorch and Keras, with results that are known exactly, and on inputs
        that are hard to compute. How large an error rounding may cause is <a href={links.numerics}>derived</a>, not
        guessed: a larger one fails.
        {kit === 'fast' &&
          ` A backend that takes more than ${reach} times as long as the fastest is checked on what is timed only.`}
        {kit === 'off' && ' As chosen, each backend is checked on what is timed only.'}
      </p>
      {kit !== 'off' &&
        visit.backends.map((findings) => (
          <BackendKit key={findings.name} findings={findings} ended={visit.state === 'done'} />
        ))}
    </section>
  );
}

function BackendKit({ findings, ended }: { readonly findings: BackendFindings; readonly ended: boolean }) {
  // Not with every sample that is timed on another backend.
  return useMemo(() => <Kit findings={findings} ended={ended} />, [findings, ended]);
}

function Kit({ findings, ended }: { readonly findings: BackendFindings; readonly ended: boolean }) {
  const { name, plan, results, kitDone, troubles } = findings;
  const { passed, failed, refused, skipped } = countsOf(results);
  return (
    <article
      class="kit"
      data-backend={name}
      data-done={kitDone}
      data-cases={plan.length}
      data-passed={passed}
      data-failed={failed}
      data-refused={refused}
      data-skipped={skipped}
    >
      <h3>
        {backends[name].title} <code class="quiet">{name}</code>
      </h3>
      <p class="verdict">
        <Verdict findings={findings} ended={ended} />
        <TroubleBadges troubles={troubles.filter(({ stage }) => stage === 'conformance')} />
      </p>
      {plan.length > 0 && !kitDone && troubles.length === 0 && (
        <progress class="running" aria-label={`Checks of ${name}`} max={plan.length} value={results.length} />
      )}
      {results.length > 0 && <Checks findings={findings} />}
    </article>
  );
}

function Verdict({ findings, ended }: { readonly findings: BackendFindings; readonly ended: boolean }) {
  const { available, plan, results, kitDone, verified, troubles } = findings;
  const { passed, failed, refused, skipped } = countsOf(results);
  if (failed > 0) {
    return (
      <span class="badge failed">
        ✗ {failed} of {results.length} checks failed
      </span>
    );
  }
  if (results.length > 0) {
    const worst = worstOf(results);
    return (
      <>
        <span class="badge passed">
          {kitDone ? `✓ right: ${passed} checks passed` : `${results.length} of ${plan.length} checked, none failed`}
        </span>{' '}
        <span class="quiet">
          {refused > 0 && `What it cannot do it refused properly, ${refused} times. `}
          {skipped > 0 && `${skipped} were left out: they do not apply, or take long. `}
          {worst && `The largest error is ${percentText(worst.worst)} of what rounding may cause.`}
        </span>
      </>
    );
  }
  const whyNot =
    available === null
      ? troubles.length > 0
        ? 'does not run here'
        : 'not checked yet'
      : Object.keys(verified).length > 0
        ? `right in what was timed${ended ? '; too slow here to be checked in full' : ''}`
        : 'not checked yet';
  return <span class="quiet">{whyNot}</span>;
}

function Checks({ findings: { name, plan, results, kitDone } }: { readonly findings: BackendFindings }) {
  const [open, setOpen] = useState(false);
  return (
    <details onToggle={({ currentTarget }) => setOpen(currentTarget.open)}>
      <summary>What was checked on {name}</summary>
      {open && (
        <>
          <table class="groups">
            <caption class="visually-hidden">Kinds of checks on {name}</caption>
            <thead>
              <tr>
                <th scope="col">kind</th>
                {statuses.map((status) => (
                  <th key={status} scope="col" class="number">
                    {status}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {groups
                .filter((group) => plan.some((one) => one.group === group))
                .map((group) => (
                  <GroupRow key={group} group={group} results={results.filter((one) => one.group === group)} />
                ))}
            </tbody>
          </table>
          <p class="quiet small">In exact terms: {accuracyText(results)}</p>
          {kitDone && <CaseTable name={name} results={results} />}
        </>
      )}
    </details>
  );
}

function GroupRow({ group, results }: { readonly group: Group; readonly results: readonly CaseResult[] }) {
  const counts = countsOf(results);
  return (
    <tr>
      <th scope="row">
        {groupWords[group]} <code class="quiet">{group}</code>
      </th>
      {statuses.map((status) => (
        <td key={status} class={`number ${status === 'failed' && counts.failed > 0 ? 'badge failed' : ''}`}>
          {counts[status]}
        </td>
      ))}
    </tr>
  );
}
