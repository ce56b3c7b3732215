// A job: what a call is about, as the host wrote it, and the addresses of its tables, with an entry for each channel.
// biome-ignore-all format: one line for one field or table
import * as field from '../src/abi/job-field';
import * as table from '../src/abi/table';

@unmanaged
export class Job {
  /* @inline */ get elementBytes(): i32 { return load<i32>(changetype<usize>(this), field.elementBytes); }
  /* @inline */ get outer(): i32 { return load<i32>(changetype<usize>(this), field.outer); }
  /* @inline */ get channels(): i32 { return load<i32>(changetype<usize>(this), field.channels); }
  /* @inline */ get inner(): i32 { return load<i32>(changetype<usize>(this), field.inner); }
  /* @inline */ get pitch(): usize { return load<usize>(changetype<usize>(this), field.pitch); }
  /* @inline */ get panel(): i32 { return load<i32>(changetype<usize>(this), field.panel); }
  /* @inline */ get section(): i32 { return load<i32>(changetype<usize>(this), field.section); }
  /* @inline */ get sections(): i32 { return load<i32>(changetype<usize>(this), field.sections); }
  /* @inline */ get x(): usize { return load<usize>(changetype<usize>(this), field.x); }
  /* @inline */ get dy(): usize { return load<usize>(changetype<usize>(this), field.dy); }
  /* @inline */ get out(): usize { return load<usize>(changetype<usize>(this), field.out); }
  /* @inline */ get saved(): usize { return load<usize>(changetype<usize>(this), field.saved); }
  /* @inline */ get sums(): usize { return load<usize>(changetype<usize>(this), field.sums); }
  /* @inline */ get dgamma(): usize { return load<usize>(changetype<usize>(this), field.dgamma); }
  /* @inline */ get dbeta(): usize { return load<usize>(changetype<usize>(this), field.dbeta); }
  /* @inline */ get residual(): usize { return load<usize>(changetype<usize>(this), field.residual); }
  /* @inline */ get dresidual(): usize { return load<usize>(changetype<usize>(this), field.dresidual); }
  /* @inline */ get gate(): usize { return load<usize>(changetype<usize>(this), field.gate); }
  /* @inline */ get mask(): usize { return load<usize>(changetype<usize>(this), field.mask); }
  /* @inline */ get streamRows(): i32 { return load<i32>(changetype<usize>(this), field.streamRows); }
  /* @inline */ get epsilon(): f64 { return load<f64>(changetype<usize>(this), field.epsilon); }
  /* @inline */ get M(): f64 { return load<f64>(changetype<usize>(this), field.M); }
  /** Which channels are too wide for the gradient in T, an i32 each. */
  /* @inline */ get wideGradient(): usize { return load<usize>(changetype<usize>(this), field.wideGradient); }

  /** Whether T is float64. */
  /* @inline */ get isDouble(): bool { return this.elementBytes == 8; }

  // What a forward keeps for its backward.

  /* @inline */ get gamma(): usize { return this.float64Table(this.saved, table.gamma); }
  /* @inline */ get beta(): usize { return this.float64Table(this.saved, table.beta); }
  /* @inline */ get mean(): usize { return this.float64Table(this.saved, table.mean); }
  /* @inline */ get variance(): usize { return this.float64Table(this.saved, table.variance); }
  /* @inline */ get m2(): usize { return this.float64Table(this.saved, table.m2); }
  /* @inline */ get invStd(): usize { return this.float64Table(this.saved, table.invStd); }
  /** What passes subtract from values: until the mean is known, a number near it; then the mean, rounded to T. */
  /* @inline */ pivot<T>(): usize { return this.tableOf<T>(this.saved, table.pivot, 0); }
  /** gamma · invStd */
  /* @inline */ scale<T>(): usize { return this.tableOf<T>(this.saved, table.pivot, table.scale - table.pivot); }
  /** beta − (mean − pivot) · scale */
  /* @inline */ shift<T>(): usize { return this.tableOf<T>(this.saved, table.pivot, table.shift - table.pivot); }
  /** Which channels are too wide for passes in T (wide.ts), an i32 each. */
  /* @inline */ get wide(): usize { return this.float64Table(this.saved, table.wide); }

  // What a call adds up, by section.

  /* @inline */ get tablesPerSection(): i32 { return table.sumTables << i32(this.isDouble); }
  /** Σ (x − pivot), or Σ dy */
  /* @inline */ sum(section: i32): usize { return this.sumTable(section, table.sum); }
  /** Σ (x − pivot)², or Σ dy · (x − pivot) */
  /* @inline */ products(section: i32): usize { return this.sumTable(section, table.products); }
  /** The same of a block of float64 values, while it is added up. */
  /* @inline */ blockSum(section: i32): usize { return this.sumTable(section, table.blockSum); }
  /* @inline */ blockProducts(section: i32): usize { return this.sumTable(section, table.blockProducts); }

  // What passes read, after the sums of all sections.

  /** invStd · dgamma / M */
  /* @inline */ slope<T>(): usize { return this.tableOf<T>(this.sums, this.tablesOfSections, table.slope); }
  /** dbeta / M − (mean − pivot) · slope */
  /* @inline */ offset<T>(): usize { return this.tableOf<T>(this.sums, this.tablesOfSections, table.offset); }
  /** Pivots and shifts where there are none. */
  /* @inline */ zeros<T>(): usize { return this.tableOf<T>(this.sums, this.tablesOfSections, table.zeros); }

  /* @inline */ private get tablesOfSections(): i32 { return this.sections * this.tablesPerSection; }

  /* @inline */ private sumTable(section: i32, index: usize): usize {
    return this.float64Table(this.sums, <usize>(section * this.tablesPerSection) + index);
  }

  /* @inline */ private float64Table(tables: usize, index: usize): usize { return tables + index * this.pitch * 8; }

  /** The table of T with this `index` after `skipped` tables of float64. */
  /* @inline */ private tableOf<T>(tables: usize, skipped: usize, index: usize): usize {
    return tables + this.pitch * (skipped * 8 + index * sizeof<T>());
  }
}
