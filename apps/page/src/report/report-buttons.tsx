// What a visitor takes along: all of it as JSON, a summary as Markdown.
import type { Visit } from '../visit/visit.js';
import { CopyButton } from './copy-button.js';
import { jsonReport } from './json.js';
import { markdownSummary } from './markdown.js';

interface Properties {
  readonly visit: Visit;
}

export function ReportButtons({ visit }: Properties) {
  return (
    <p class="reports">
      <button type="button" onClick={() => download('batchnorm.json', jsonReport(visit))}>
        Download results
      </button>
      <CopyButton text={() => markdownSummary(visit)}>Copy summary</CopyButton>
    </p>
  );
}

function download(name: string, json: string): void {
  const href = URL.createObjectURL(new Blob([json], { type: 'application/json' }));
  Object.assign(document.createElement('a'), { href, download: name }).click();
  // The download reads it after this task.
  setTimeout(() => URL.revokeObjectURL(href), 10_000);
}
