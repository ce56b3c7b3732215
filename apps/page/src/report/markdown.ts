// What a visit found, as Markdown without links, to paste where people talk.
import { accuracyText, countsText } from '@batchnorm/conformance';
import { escapeMarkdown, executionText, markdownTable, percentText, shapeText, timeText } from '@batchnorm/reporting';
import type { Operation } from '@batchnorm/select';
import { shareOfLimit, spreadOf } from '../bench/spread.js';
import { codeFor, installFor } from '../recommend/code.js';
import { ownMemoryPays, recommend } from '../recommend/recommend.js';
import { type BackendFindings, timingOf, troubleText, type Visit } from '../visit/visit.js';

export function markdownSummary(visit: Visit): string {
  const { device, date, settings, backends, choice } = visit;
  const { operation, shape } = choice;
  const [best] = shape ? recommend(visit, shape, operation).ranking : [];
  const facts = [
    device.browser,
    device.platform,
    `${device.cores} logical cores`,
    device.isolated ? 'cross-origin isolated' : 'not cross-origin isolated',
    date,
  ];
  const heads = ['backend', 'conformance', 'accuracy', ...settings.shapes.map(shapeText), 'runs on'];
  const rows = backends.map((findings) =>
    [
      findings.name,
      countsText(findings.results),
      accuracyText(findings.results),
      ...settings.shapes.map((one) => timeOf(findings, one, operation)),
      runsOn(findings),
    ].map(escapeMarkdown),
  );
  return [
    '## BatchNorm on this device',
    '',
    escapeMarkdown(facts.join(', ')),
    '',
    ...(best && shape
      ? [
          `${operation} of ${shapeText(shape)}: **${best.backend}**, ${timeText(best.time.median)}`,
          '',
          '```sh',
          installFor(best.backend),
          '```',
          '',
          '```ts',
          codeFor({ backend: best.backend, shape, operation, ownMemory: ownMemoryPays(best) }),
          '```',
          '',
        ]
      : []),
    ...(settings.shapes.length > 0
      ? [
          `Times of ${operation} in float32, median; in brackets the share of the time of a plain copy of the same bytes.`,
          '',
        ]
      : []),
    ...markdownTable(heads, rows),
    '',
  ].join('\n');
}

function timeOf({ timings }: BackendFindings, shape: readonly number[], operation: Operation): string {
  const timing = timingOf(timings, shape, operation);
  return timing ? `${timeText(spreadOf(timing.seconds).median)} (${percentText(shareOfLimit(timing).median)})` : '';
}

function runsOn({ available, troubles }: BackendFindings): string {
  const execution = available ? [executionText(available.execution)] : [];
  return [...execution, ...troubles.map(troubleText)].join('; ');
}
