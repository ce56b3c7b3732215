// The order of the tables per channel in linear memory. Both compilers read this file. T is the dtype of activations;
// each table but flags has room for float64.

// What a forward keeps for its backward. Of float64:
export const gamma = 0;
export const beta = 1;
export const mean = 2;
/** Population variance. */
export const variance = 3;
export const invStd = 4;
// Of T:
export const pivot = 5;
export const scale = 6;
export const shift = 7;
/** Flags, in int32. */
export const wide = 8;

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
