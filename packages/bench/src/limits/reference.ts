// The fixed reference case: every record divides its time by that of this case, so that runs of different days compare.
// Never change it: records from before and after would no longer compare.
import { RowByRow } from '../contenders/row-by-row.js';

const [N, C] = [256, 64];

/** The straightforward training forward of 256×64 in float32. */
export class Reference {
  readonly #x: Float32Array = Float32Array.from({ length: N * C }, (_, k) => Math.sin(k));
  readonly #y: Float32Array = new Float32Array(N * C);
  readonly #gamma: Float64Array = new Float64Array(C).fill(1);
  readonly #beta: Float64Array = new Float64Array(C);
  readonly #loops: RowByRow = new RowByRow(N, C);

  run(): void {
    this.#loops.forward(this.#x, this.#gamma, this.#beta, 1e-5, this.#y);
  }
}
