// Where in linear memory threads tell each other what to do. Both compilers read this file.

/** The address of the worker pool's state. */
export const poolAddress = 1024;
/** The end of it, and the first address that an allocation may have. Below it are the states of 720 tasks. */
export const poolEnd = 4096;
