// A job in linear memory, and after it the tables that it adds up in: how the host tells kernels what a call is about.
import type { GradientSums } from '@batchnorm/core-api';
import { leastProductFloat32, leastProductFloat64 } from './abi/accumulation.js';
import * as field from './abi/job-field.js';
import * as table from './abi/table.js';
import type { Allocation } from './allocation.js';
import type { LinearMemory } from './linear-memory.js';
import type { SavedForward } from './saved-forward.js';
import { Sums } from './sums.js';
import type { Tiling } from './tiling.js';

/** What a call reads and writes: addresses, but for the tables. Without an address a call does without it. */
export interface Operands {
  readonly saved: SavedForward;
  readonly x: number;
  readonly residual?: number | undefined;
  readonly dy?: number;
  readonly dresidual?: number | undefined;
  readonly out: number;
}

export class Job {
  readonly address: number;
  readonly #memory: LinearMemory;
  readonly #allocation: Allocation;
  readonly #tiling: Tiling;
  /** The address of flags of its own. */
  readonly #wideGradient: number;
  #isInPlace = false;

  /** Errors: `LIMIT_EXCEEDED`. */
  constructor(memory: LinearMemory, tiling: Tiling) {
    const { pitch, sections, isDouble } = tiling;
    const tables = (table.sumTables << Number(isDouble)) * sections + table.wideGradient;
    const bytes = field.jobBytes + tables * pitch * 8 + pitch * 4;
    this.#memory = memory;
    this.#tiling = tiling;
    this.#allocation = memory.allocate(bytes);
    this.address = this.#allocation.at;
    this.#wideGradient = this.address + bytes - pitch * 4;
    memory.int32.fill(0, this.address / 4, (this.address + bytes) / 4);
    this.#set(field.elementBytes, tiling.elementBytes);
    this.#set(field.outer, tiling.outer);
    this.#set(field.channels, tiling.channels);
    this.#set(field.inner, tiling.inner);
    this.#set(field.pitch, pitch);
    this.#set(field.panel, tiling.panel);
    this.#set(field.section, tiling.section);
    this.#set(field.sections, sections);
    this.#set(field.streamRows, tiling.streamRows);
    this.#set(field.sums, this.address + field.jobBytes);
  }

  /** Whether results are written over what they are made of. */
  get isInPlace(): boolean {
    return this.#isInPlace;
  }

  /** Binds the next calls to what they work on. */
  bind({ saved, x, residual = 0, dy = 0, dresidual = 0, out }: Operands): void {
    this.#isInPlace = out === x || out === dy || out === residual;
    const { int32, float64 } = this.#memory;
    const { address } = this;
    int32[(address + field.x) / 4] = x;
    int32[(address + field.residual) / 4] = residual;
    int32[(address + field.dy) / 4] = dy;
    int32[(address + field.dresidual) / 4] = dresidual;
    int32[(address + field.out) / 4] = out;
    int32[(address + field.saved) / 4] = saved.at;
    int32[(address + field.gate) / 4] = saved.gate;
    int32[(address + field.mask) / 4] = saved.mask;
    float64[(address + field.M) / 8] = saved.M;
  }

  /** Binds the next calls to the addresses of dgamma, dbeta, and flags of channels that are too wide for the gradient. */
  bindGradients(dgamma: number, dbeta: number, wideGradient: number = this.#wideGradient): void {
    this.#set(field.dgamma, dgamma);
    this.#set(field.dbeta, dbeta);
    this.#set(field.wideGradient, wideGradient);
  }

  /**
   * Binds the next calls to a copy of `total`, in tables that nothing is added up in until dx is written. M values of a
   * channel have a part in it.
   */
  bindTotal(total: GradientSums, M: number): void {
    const { dgamma, dbeta } = total;
    const wide = Sums.wideOf(total);
    const { pitch, channels, isDouble } = this.#tiling;
    const { float64, int32 } = this.#memory;
    const sums = this.address + field.jobBytes;
    const [sum, products] = [sums + table.sum * pitch * 8, sums + table.products * pitch * 8];
    const least = M * (isDouble ? leastProductFloat64 : leastProductFloat32);
    for (let c = 0; c < channels; c++) {
      float64[products / 8 + c] = dgamma[c]!;
      float64[sum / 8 + c] = dbeta[c]!;
      const isSmall = Math.abs(dgamma[c]!) + Math.abs(dbeta[c]!) < least;
      int32[this.#wideGradient / 4 + c] = isSmall ? -1 : (wide?.[c] ?? 0);
    }
    this.bindGradients(products, sum);
  }

  set epsilon(value: number) {
    this.#memory.float64[(this.address + field.epsilon) / 8] = value;
  }

  dispose(): void {
    this.#allocation.free();
  }

  #set(offset: number, value: number): void {
    this.#memory.int32[(this.address + offset) / 4] = value;
  }
}
