// The limit: a copy, on one thread, that moves as many bytes as an operation must, half of them read and half of them
// written.

export class Copy {
  readonly #from: Float64Array;
  readonly #to: Float64Array;

  constructor(bytesMoved: number) {
    this.#from = new Float64Array(Math.max(1, Math.round(bytesMoved / 16))).fill(1);
    this.#to = new Float64Array(this.#from.length);
  }

  run(): void {
    this.#to.set(this.#from);
  }
}
