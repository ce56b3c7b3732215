// What a visit found, as Markdown without links, to paste where people talk.
import { countTexts } from '@batchnorm/conformance';
import { shareOfLimit, spreadOf } from '../bench/spread.js';
import { accuracyText } from '../kit/accuracy.js';
import { percentText, timeText } from '../number-text.js';
import type { Choice } from '../recommend/choice.js';
import { codeFor } from '../recommend/code.js';
import { recommend } from '../recommend/recommend.js';
import { shapeText } from '../shape.js';
import { type BackendFindings, timingOf, troubleText, type Visit } from '../visit/visit.js';

export function markdownSummary(visit: Visit, { operation, shape }: Choice): string {
  const { device, date, settings, backends } = visit;
  const [best] = shape ? recommend(visit, shape, operation).ranking : [];
  const facts = [
    device.browser,
    device.platform,
    `${device.cores} logical cores`,
    device.isolated ? 'cross-origin isolated' : 'not cross-origin isolated',
    date,
  ];
  const head = ['backend', 'conformance', 'accuracy', ...settings.shapes.map(shapeText), 'runs on'];
  const rows = backends.map((findings) => [
    findings.name,
    countTexts(findings.results)
      .map(({ text, codes }) => `${text} ${codes}`.trim())
      .join(', '),
    accuracyText(findings.results),
    ...settings.shapes.map((one) => timeOf(findings, one, operation)),
    runsOn(findings),
  ]);
  return [
    '## BatchNorm on this device',
    '',
    escapeMarkdown(facts.join(', ')),
    '',
    ...(best && shape
      ? [
          `${operation} of ${shapeText(shape)}: **${best.backend}**, ${timeText(best.time.median)}`,
          '',
          '```ts',
          codeFor(best.backend, shape),
          '```',
          '',
        ]
      : []),
    ...(settings.shapes.length > 0
      ? [`Times of ${operation} in float32, median; in brackets the share of the copy limit.`, '']
      : []),
    row(head),
    row(head.map(() => '---')),
    ...rows.map((cells) => row(cells.map(escapeMarkdown))),
    '',
  ].join('\n');
}

function timeOf({ timings }: BackendFindings, shape: readonly number[], operation: Choice['operation']): string {
  const timing = timingOf(timings, shape, operation);
  return timing ? `${timeText(spreadOf(timing.seconds).median)} (${percentText(shareOfLimit(timing).median)})` : '';
}

function runsOn({ available, troubles }: BackendFindings): string {
  const { engine, device, threads } = available?.execution ?? {};
  const execution = available ? [`${engine} on ${device}, ${threads === 1 ? '1 thread' : `${threads} threads`}`] : [];
  return [...execution, ...troubles.map(troubleText)].join('; ');
}

const row = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;

/** Plain text within one line: nothing in it is Markdown or HTML, and no address becomes a link. */
function escapeMarkdown(text: string): string {
  return text
    .replace(/[\\`*_~[\]<>|#&]/g, '\\$&')
    .replace(/:\/\//g, ': //')
    .replace(/\s+/g, ' ');
}
