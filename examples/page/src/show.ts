// What a backend is and what it computed, as HTML. A <data> element shows a rounded number, and has all of its digits as its value.
import { BatchNormError, type Execution } from '@batchnorm/core-api';
import { numFeatures, type TrainingStep } from './training-step.js';

export function show(section: HTMLElement, execution: Execution, step: TrainingStep): void {
  section.append(description(execution), table(step));
}

export function showError(section: HTMLElement, error: unknown): void {
  section.append(element('p', { className: 'error', textContent: messageOf(error) }));
}

function description({ engine, device, threads, accumulation, fallbackReason }: Execution): HTMLElement {
  const facts = {
    engine,
    device,
    threads: String(threads),
    'sums in': Object.entries(accumulation)
      .map(([dtype, sums]) => `${sums} (${dtype})`)
      .join(', '),
    ...(fallbackReason !== null && { 'fell back': fallbackReason }),
  };
  const terms = Object.entries(facts).flatMap(([term, fact]) => [
    element('dt', { textContent: term }),
    element('dd', { textContent: fact }),
  ]);
  return element('dl', {}, terms);
}

function table(step: TrainingStep): HTMLElement {
  const heads = ['feature', ...Array.from({ length: numFeatures }, (_, c) => `${c + 1}`)];
  const head = heads.map((textContent) => element('th', { textContent, scope: 'col' }));
  const bodies = Object.entries(step).map(([name, values]: [string, ArrayLike<number>]) => body(name, values));
  return element('table', {}, [element('thead', {}, [element('tr', {}, head)]), ...bodies]);
}

/** The rows of one result, under its name. */
function body(name: string, values: ArrayLike<number>): HTMLElement {
  const rows = Array.from({ length: values.length / numFeatures }, (_, row) => {
    const cells = Array.from({ length: numFeatures }, (_, c) =>
      element('td', {}, [number(values[row * numFeatures + c]!)]),
    );
    return element('tr', {}, row === 0 ? [heading(name, values.length / numFeatures), ...cells] : cells);
  });
  const tbody = element('tbody', {}, rows);
  tbody.dataset.result = name;
  return tbody;
}

function heading(textContent: string, rowSpan: number): HTMLElement {
  return element('th', { textContent, rowSpan, scope: 'rowgroup' });
}

function number(value: number): HTMLElement {
  const digits = Math.abs(value) < 1000 ? 4 : 1;
  // A gradient of 1e-9 is a zero to a reader: no sign in front of it.
  const textContent = value
    .toFixed(digits)
    .replace(/^-(?=[0.]+$)/, '')
    .replace('-', '−');
  return element('data', { value: String(value), textContent });
}

function element<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  properties: Partial<HTMLElementTagNameMap[Tag]>,
  children: readonly Node[] = [],
): HTMLElementTagNameMap[Tag] {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function messageOf(error: unknown): string {
  return error instanceof BatchNormError ? `${error.code}: ${error.message}` : String(error);
}
