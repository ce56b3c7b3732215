// The progress display, on stderr.
import { SingleBar } from 'cli-progress';

/** One bar for each setting: what is being checked, and then how many samples have been taken. */
export class Progress {
  readonly #bar: SingleBar;
  readonly #title: string;

  constructor(title: string) {
    this.#title = title;
    this.#bar = new SingleBar({
      format: '{title} {bar} {value} of {total} {text}',
      barsize: 20,
      noTTYOutput: true,
      notTTYSchedule: 5000,
      gracefulExit: false,
      emptyOnZero: true,
    });
    this.#bar.start(0, 0, { title, text: '' });
  }

  readonly update = (text: string, done: number, of: number): void => {
    this.#bar.setTotal(of);
    this.#bar.update(done, { title: this.#title, text });
  };

  stop(): void {
    this.#bar.stop();
  }
}
