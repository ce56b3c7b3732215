// What stderr shows while a backend runs: one line, and in it a character for every ten cases.
import type { CaseResult } from '@batchnorm/conformance';

export type OnStatus = (status: CaseResult['status']) => void;

const casesPerSign = 10;

/** The line of one backend: opened at once, ended by `end`. */
export class ProgressLine {
  readonly #started = performance.now();
  #pending: CaseResult['status'][] = [];

  constructor(title: string) {
    process.stderr.write(`${title} `);
  }

  readonly onStatus: OnStatus = (status) => {
    this.#pending.push(status);
    if (this.#pending.length === casesPerSign) this.#flush();
  };

  end(unavailable: boolean): void {
    if (this.#pending.length > 0) this.#flush();
    const seconds = ((performance.now() - this.#started) / 1000).toFixed(1);
    process.stderr.write(unavailable ? 'skipped\n' : ` ${seconds} s\n`);
  }

  /** `F` when one of them failed, `s` when one was skipped. */
  #flush(): void {
    const sign = this.#pending.includes('failed') ? 'F' : this.#pending.includes('skipped') ? 's' : '.';
    process.stderr.write(sign);
    this.#pending = [];
  }
}
