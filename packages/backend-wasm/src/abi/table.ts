// The order of the tables per channel in linear memory. Both compilers read this file. T is the dtype of activations;
// each table but flags has room for float64.

// What a forward keeps for its backward. Of float64:
export const gamma = 0;
export const beta = 1;
export const mean = 2;
/** Population variance. */
export const variance = 3;
/** Σ (x − mean)² of the batch; statistics that were given have none. */
export const m2 = 4;
export const invStd = 5;
// Of T:
export const pivot = 6;
export const scale = 7;
export const shift = 8;
/** Flags, in int32. */
export const wide = 9;

// What a call adds up, of float64, by section:
export const sum = 0;
export const products = 1;
/** Tables of a section; of float64 activations twice as many, with those of a block: */
export const sumTables = 2;
export const blockSum = 2;
export const blockProducts = 3;

// What comes after the last section. Of T:
export const slope = 0;
export const offset = 1;
export const zeros = 2;
/** Flags, in int32. */
export const wideGradient = 3;
