// Mutants that are right, too: the score leaves them out. Each is looked up in every run, and must still survive.

export interface Equivalents {
  readonly because: string;
  /** Paths in the repository. */
  readonly files: readonly string[];
  /** In these functions alone, where the same line stands in others. */
  readonly within?: readonly string[];
  /** A line as it is and as it is in the mutant, as `pnpm mutation` prints them. */
  readonly mutants: readonly (readonly [from: string, to: string])[];
}

const blocks = ['packages/backend-js/src/blocks.ts'];
const loops = ['packages/backend-js/src/loops.float32.ts', 'packages/backend-js/src/loops.float64.ts'];
const passes = ['packages/backend-js/src/passes.ts'];
const savedForward = ['packages/core-api/src/saved-forward.ts'];
const hostKernels = ['packages/core-api/src/host-kernels.ts'];
const inRange = ['packages/core-api/src/in-range.ts'];
const hostBackend = ['packages/core-api/src/host-backend.ts'];
const plainBackend = ['packages/conformance/test/plain-backend.js'];

export const equivalents: readonly Equivalents[] = [
  {
    because: 'speed: channels that no strip covers are gone through one by one, to the same results within the bound',
    files: loops,
    mutants: [
      ['if (inner === 1) {', 'if (false) {'],
      ['if (inner === 1) {', 'if (inner === 1) {}'],
      ['for (; c + 3 <= channels; c += 3) {', 'for (; false; c += 3) {'],
      ['for (; c + 3 <= channels; c += 3) {', 'for (; c + 3 < channels; c += 3) {'],
      ['for (; c + 8 <= channels; c += 8) {', 'for (; false; c += 8) {'],
      ['for (; c + 8 <= channels; c += 8) {', 'for (; c + 8 < channels; c += 8) {'],
    ],
  },
  {
    because: 'speed: what is left of a run is gone through one by one',
    files: loops,
    mutants: [
      ['while (i + 3 * step < end) {', 'while (false) {'],
      ['while (i + 7 * step < end) {', 'while (false) {'],
    ],
  },
  {
    because: 'sums of channels that do not exist are written past the end of a typed array, where nothing is',
    files: loops,
    within: ['moments', 'gradientSums'],
    mutants: [
      ['for (; c + 3 <= channels; c += 3) {', 'for (; c - 3 <= channels; c += 3) {'],
      ['for (; c < channels; c++) {', 'for (; c <= channels; c++) {'],
    ],
  },
  {
    because: 'what is read past the end of a typed array is written past the end of another, where nothing is',
    files: passes,
    mutants: [
      [
        'for (let c = 0; c < channels; c++) mean[c] = x[c * inner]!;',
        'for (let c = 0; c <= channels; c++) mean[c] = x[c * inner]!;',
      ],
      ['for (let c = 0; c < channels; c++) {', 'for (let c = 0; c <= channels; c++) {'],
      [
        'for (let c = 0; c < channels; c++) dgamma[c]! *= invStd[c]!;',
        'for (let c = 0; c <= channels; c++) dgamma[c]! *= invStd[c]!;',
      ],
    ],
  },
  {
    because: 'the same, within one object',
    files: savedForward,
    mutants: [['for (let c = 0; c < scale.length; c++) {', 'for (let c = 0; c <= scale.length; c++) {']],
  },
  {
    because: 'speed: blocks of another length give other roundings, within the bound; only the first one must be short',
    files: blocks,
    mutants: [
      ['const isRows = inner === 1 || channels === 1;', 'const isRows = inner === 1 || false;'],
      [
        '? Math.min(mostRows, Math.max(fewestRows, Math.floor(elementsOfRows / channels)))',
        '? Math.max(mostRows, Math.max(fewestRows, Math.floor(elementsOfRows / channels)))',
      ],
      [
        '? Math.min(mostRows, Math.max(fewestRows, Math.floor(elementsOfRows / channels)))',
        '? Math.min(mostRows, Math.min(fewestRows, Math.floor(elementsOfRows / channels)))',
      ],
      [
        '? Math.min(mostRows, Math.max(fewestRows, Math.floor(elementsOfRows / channels)))',
        '? Math.min(mostRows, Math.max(fewestRows, Math.floor(elementsOfRows * channels)))',
      ],
      [
        'const wholeRuns = Math.floor(Math.min(limit, elementsOfShortRuns) / runLength);',
        'const wholeRuns = Math.floor(Math.max(limit, elementsOfShortRuns) / runLength);',
      ],
    ],
  },
  {
    because: 'a right backend may promise less: that repeated calls agree within the tolerance only',
    files: [...hostBackend, ...plainBackend],
    mutants: [['deterministic: true,', 'deterministic: false,']],
  },
  {
    because: 'no test can hold an activation of so many elements',
    files: hostBackend,
    mutants: [['limits: { elements: 2 ** 31 - 1 },', 'limits: { elements: 2 ** 31 + 1 },']],
  },
  {
    because: 'memory: what is not reused or let go of is garbage all the same',
    files: [...hostKernels, ...savedForward],
    mutants: [
      ['dispose(): void {', 'dispose(): void {}'],
      [
        'const saved = this.#free.pop() ?? new SavedForward(this.#plan.extent.channels, (one) => this.#free.push(one));',
        'const saved = this.#free.pop() ?? new SavedForward(this.#plan.extent.channels, () => undefined);',
      ],
    ],
  },
  {
    because: 'a channel after the last has no number that could be refused',
    files: inRange,
    mutants: [['for (let c = 0; c < scale.length; c++) {', 'for (let c = 0; c <= scale.length; c++) {']],
  },
  {
    because: 'the bound that it moves by one number has room: that number may be refused, and need not be',
    files: inRange,
    mutants: [
      [
        'if (square >= leastSquare && square < Number.POSITIVE_INFINITY && Number.isFinite(mean[c])) continue;',
        'if (square > leastSquare && square < Number.POSITIVE_INFINITY && Number.isFinite(mean[c])) continue;',
      ],
      [
        'return Math.abs(product) < leastNormal && factor !== 0 && invStd < 1 && invStd > 0;',
        'return Math.abs(product) <= leastNormal && factor !== 0 && invStd < 1 && invStd > 0;',
      ],
      [
        'return Math.abs(product) < leastNormal && factor !== 0 && invStd < 1 && invStd > 0;',
        'return Math.abs(product) < leastNormal && factor !== 0 && invStd <= 1 && invStd > 0;',
      ],
    ],
  },
];
