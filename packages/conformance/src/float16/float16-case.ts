// What the cases of float16 have in common: a backend without it is told so once, by its refusal, and else skipped.
import type { Dtype } from '@batchnorm/core-api';
import type { ConformanceCase } from '../conformance-case.js';

type Question = Pick<ConformanceCase, 'name' | 'why' | 'slow' | 'run'>;

/** A case that backends with these dtypes get. */
export function float16Case(question: Question, needs: readonly Dtype[] = ['float16']): ConformanceCase {
  return {
    ...caseOfAll(question),
    inapplicable({ backend: { capabilities } }) {
      const lacking = needs.find((dtype) => !capabilities.dtypes.includes(dtype));
      return lacking === undefined ? undefined : `the backend has no ${lacking}`;
    },
  };
}

/** A case that the others get, too: they must refuse it. */
export function caseOfAll(question: Question): ConformanceCase {
  return { group: 'float16', source: 'float16', dtype: 'float16', ...question };
}
