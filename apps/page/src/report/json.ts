// What a visit found, for programs.
import { countsOf } from '@batchnorm/conformance';
import { operations } from '@batchnorm/select';
import { shareOfLimit, spreadOf } from '../bench/spread.js';
import { recommend } from '../recommend/recommend.js';
import type { Visit } from '../visit/visit.js';

/**
 * Seconds everywhere. `complete` is false where the visit was stopped: recommendations then rest on what had been found. `counts` are of the kit's cases. An error without a finite measure has `"worst": null` and
 * `"ulps": null`.
 */
export function jsonReport(visit: Visit): string {
  const { state, date, device, settings, backends } = visit;
  const document = {
    formatVersion: 3,
    date,
    complete: state === 'done',
    device,
    settings,
    backends: backends.map(({ plan: _, timings, ...findings }) => ({
      ...findings,
      counts: countsOf(findings.results),
      timings: timings.map((timing) => ({
        ...timing,
        time: spreadOf(timing.seconds),
        shareOfLimit: shareOfLimit(timing),
      })),
    })),
    recommendations: settings.shapes.flatMap((shape) =>
      operations.map((operation) => recommend(visit, shape, operation)),
    ),
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}
