// A report as one page.
import { readFileSync } from 'node:fs';
import { Html, html } from './html.js';
import { pageStyle } from './page-style.js';

const palette = readFileSync(new URL('../src/palette.css', import.meta.url), 'utf8');

/** What a page shows. */
export interface Page {
  readonly title: string;
  /** CSS of this page, beside what all pages have. */
  readonly style: string;
  /** What was measured, when and where: a line below the title. */
  readonly facts: readonly string[];
  /** Between title and facts. */
  readonly summary?: Html;
  readonly main: Html;
}

/** A page that needs nothing else: no file, no script, no other host. */
export function htmlPage({ title, style, facts, summary = html``, main }: Page): string {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<link rel="icon" href="data:,">
<style>
${new Html(palette + pageStyle + style)}</style>
</head>
<body>
<header>
<h1>${title}</h1>
${summary}<p class="quiet">${facts.join(' · ')}</p>
</header>
<main>
${main}
</main>
</body>
</html>
`.text;
}
