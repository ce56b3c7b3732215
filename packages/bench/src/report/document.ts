// A document outside of a browser: what charts are drawn into, and how elements are written. Text is escaped when it is serialised.
import { parseHTML } from 'linkedom';

export const document: Document = parseHTML(
  '<!doctype html><html lang="en"><head></head><body></body></html>',
).document;

/** element('p', { class: 'quiet' }, 'some', element('b', {}, 'text')) */
export function element(
  tag: string,
  attributes: Readonly<Record<string, string>> = {},
  ...children: readonly (Node | string)[]
): Element {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}
