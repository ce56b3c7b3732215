// What stderr shows while a backend runs: one line, in it a character for every ten cases, and at its end how they came
// out.
import { countsLine, type Status } from '../counts.js';
import type { BackendReport } from '../report/backend-report.js';

/** Called with the outcome of each case. */
export type OnStatus = (status: Status) => void;

const casesPerSign = 10;

/** The line of one backend: opened at once, ended by `end`. */
export class ProgressLine {
  readonly #started = performance.now();
  #pending: Status[] = [];

  constructor(title: string) {
    process.stderr.write(`${title} `);
  }

  readonly onStatus: OnStatus = (status) => {
    this.#pending.push(status);
    if (this.#pending.length === casesPerSign) this.#flush();
  };

  /** Ends the line with how many cases had which outcome, and the seconds. */
  end({ unavailable, error, results }: BackendReport): void {
    if (this.#pending.length > 0) this.#flush();
    const seconds = ((performance.now() - this.#started) / 1000).toFixed(1);
    const outcome = error === null ? countsLine(results) : 'FAIL';
    process.stderr.write(unavailable === null ? ` ${outcome}, in ${seconds} s\n` : 'does not run here\n');
  }

  /** `F` when one of them failed, `s` when one was skipped, `r` when one was refused. */
  #flush(): void {
    const signs = { failed: 'F', skipped: 's', refused: 'r', passed: '.' } as const;
    const worst = (['failed', 'skipped', 'refused'] as const).find((status) => this.#pending.includes(status));
    process.stderr.write(signs[worst ?? 'passed']);
    this.#pending = [];
  }
}
