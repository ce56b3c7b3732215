// Where things are in the memory of a mask, in bytes from its begin, where the positions are that pivots are chosen from,
// an int32 each (`samples` in accumulation.ts says how many). Both compilers read this file.

/** A byte for each position, 1 or 0. */
export const maskPositions = 80;
