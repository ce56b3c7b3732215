// The conformance kit live: a cell for each case, as dark as its error is close to its bound.
import {
  accuracyText,
  type CaseResult,
  countsLine,
  countTexts,
  type Group,
  groups,
  signs,
} from '@batchnorm/conformance';
import { memo } from 'preact/compat';
import { TroubleBadges } from '../visit/trouble-badge.js';
import type { BackendFindings, Visit } from '../visit/visit.js';
import { CaseTable } from './case-table.js';

export function KitSection({ visit }: { readonly visit: Visit }) {
  return (
    <section aria-labelledby="kit-title">
      <h2 id="kit-title">Is it right?</h2>
      <p class="quiet">
        Golden results of NumPy and PyTorch, inputs with exact results, adversarial inputs, the behaviour of buffers,
        calls and errors, the kernels by themselves, and random programs. Each cell is a case: the darker, the larger
        its error as a share of what is derived as its bound. Above the bound, it fails. What a backend says it can’t do
        it must refuse, with the right code.
      </p>
      {visit.settings.kit ? (
        visit.backends.map((findings) => <BackendKit key={findings.name} findings={findings} />)
      ) : (
        <p>Left out, as chosen. What is timed is verified all the same.</p>
      )}
    </section>
  );
}

const BackendKit = memo(function BackendKit({ findings }: { readonly findings: BackendFindings }) {
  const { name, plan, results, kitDone, troubles, available } = findings;
  return (
    <article class="kit" data-backend={name} data-done={kitDone}>
      <h3>
        {name} <Counts results={results} />{' '}
        <TroubleBadges troubles={troubles.filter(({ stage }) => stage === 'conformance')} />
      </h3>
      <p class="quiet accuracy">
        {accuracyText(results) || (available === null && troubles.length > 0 ? 'does not run here' : 'not checked yet')}
      </p>
      <div class="groups">
        {groups.map((group) => (
          <Strip key={group} group={group} size={plan.filter((one) => one.group === group).length} results={results} />
        ))}
      </div>
      {results.length > 0 && <CaseTable name={name} results={results} />}
    </article>
  );
});

function Counts({ results }: { readonly results: readonly CaseResult[] }) {
  return (
    <>
      {countTexts(results).map(({ status, text, codes }) => (
        <span key={status} class={`badge ${status}`}>
          {signs[status]} {text} {codes && <span class="codes">{codes} </span>}
        </span>
      ))}
    </>
  );
}

interface StripProperties {
  readonly group: Group;
  /** How many cases it will have. */
  readonly size: number;
  readonly results: readonly CaseResult[];
}

function Strip({ group, size, results }: StripProperties) {
  if (size === 0) return null;
  const done = results.filter((result) => result.group === group);
  return (
    <div class="group" style={{ '--size': size }}>
      <p>
        {group} <span class="quiet">{size}</span>
      </p>
      <div class="cells" role="img" aria-label={`${group}, ${done.length} of ${size}: ${countsLine(done)}`}>
        {Array.from({ length: size }, (_, index) => (
          <Cell key={index} result={done[index]} />
        ))}
      </div>
    </div>
  );
}

const Cell = memo(function Cell({ result }: { readonly result: CaseResult | undefined }) {
  if (result === undefined) return <i />;
  const share = Math.round(Math.min(result.worst, 1) * 100);
  return <i class={result.status} style={{ '--share': `${share}%` }} title={`${result.dtype} ${result.name}`} />;
});
