// What is known per channel: tables in buffers, a struct for each channel, as shaders and the host read them.

/** Of the values of a channel, all about d = x − pivot. */
export const momentsText = `
struct Moments {
  pivot: f32,
  // Σ d and Σ d²
  sum: Pair,
  squares: Pair,
  // In how many rounds sums may still be made: in a second one where the first found the pivot too far from the mean.
  rounds: u32,
}
`;
export const momentFields = 6;

/** y = (x − meanHigh) · scale + shift, where shift has meanLow; NaN where float32 can't normalise. */
export const coefficientsText = `
struct Coefficients {
  meanHigh: f32,
  scale: f32,
  shift: f32,
  meanLow: f32,
  invStd: f32,
}
`;
export const coefficientFields = 5;

/** Of the g of a channel: dbeta = Σ g and dgamma = Σ g · xHat. */
export const gradientsText = `
struct Gradients {
  dbeta: Pair,
  dgamma: f32,
}
`;
export const gradientFields = 3;

/** Two sums of a block of a channel, before they are merged. */
export const partialText = `
struct Partial { first: Pair, second: Pair }
`;
export const partialFields = 4;
