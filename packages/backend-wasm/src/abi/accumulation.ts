// How values are added up, as far as host and kernels both depend on it. Both compilers read this file.

/**
 * Values of a channel whose mean is its pivot: of some thousand channels, none has a pivot far from its mean by chance.
 */
export const samples = 20;

/** Rows of float32 that are added up as one tree, each from a stream of its own. */
export const streams = 8;
