// The number of each thing that kernels can be asked to do. Both compilers read this file: TypeScript's, and
// AssemblyScript's for assembly/kernels.ts, where each is a function of the same name.

// Whole operations, and steps of them that go through tables, over channels:
export const forwardTraining = 0;
export const backwardTraining = 1;
export const backwardInference = 2;
export const choosePivots = 3;
export const batchStatistics = 5;
export const wideStatistics = 6;
export const coefficients = 7;
export const clearSums = 10;
export const parameterGradients = 11;
export const gradientCoefficients = 13;
export const batchMoments = 16;
export const batchGradients = 17;
export const correctStatistics = 18;

// Passes over an activation, over outer indices:
export const moments = 4;
export const normalize = 8;
export const gradientSums = 9;
export const wideGradients = 12;
export const inputGradient = 14;
export const scaledGradient = 15;
