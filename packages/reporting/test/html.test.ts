// Templates escape, and a page needs nothing else.
import { expect, it } from 'vitest';
import { Html, html } from '../src/html.js';
import { htmlPage } from '../src/html-page.js';

it('escapes strings, in text and in attributes, and nothing that is HTML already', () => {
  const evil = `"><script>'&`;
  expect(html`<a title="${evil}">${evil}</a>`.text).not.toMatch(/<script|"">/);
  expect(html`<p>${[html`<b>${1}</b>`, new Html('<br>')]}</p>`.text).toBe('<p><b>1</b><br></p>');
});

it('is a page with its title, its facts, its colours and its own style', () => {
  const page = htmlPage({ title: 'A & B', style: 'b { color: red; }', facts: ['now', 'here'], main: html`<b>c</b>` });
  expect(page).toContain('<title>A &#38; B</title>');
  expect(page).toContain('<p class="quiet">now · here</p>');
  expect(page).toMatch(/--passed: light-dark.*details\[open\].*b \{ color: red; \}.*<main>\s*<b>c<\/b>/s);
  expect(page).not.toMatch(/(src|href)="(?!data:)|@import|url\(/);
});
