// How values are added up, as far as host and kernels both depend on it. Both compilers read this file.

/**
 * Values of a channel whose mean is its pivot: of some thousand channels, none has a pivot far from its mean by chance.
 */
export const samples = 20;

/** Rows of float32 that are added up as one tree, each from a stream of its own. */
export const streams = 8;

/** Squares and products that are less than this, for each value that is added up, may have lost digits in the dtype. */
export const leastProductFloat32 = 1e-36;
export const leastProductFloat64 = 1e-288;
