// The cases of this package's golden files: file, name and why, so that suites are described before a file is read. A
// test holds this list against the files.

/** By file, and in it by the name of the case: why there is that case. */
export const builtInNames: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'seed-numpy.json': {
    'example-32x10': "the seed's own usage example",
    'sequence-varying-batch': 'running statistics over five batches of different sizes',
    'affine-and-hyperparameters': 'gamma, beta, epsilon 1e-3, momentum 0.99',
    'single-sample': 'N = 1: zero variance, y = beta',
    'constant-feature': 'one feature never varies',
    'large-mean': 'mean 1e4, deviation 1: E[x^2]-E[x]^2 fails in float32',
    'odd-sizes': 'no size divides a vector width or a block',
    'one-feature': 'C = 1',
  },
  'pytorch.json': {
    'nc-13x5': 'BatchNorm1d on [N, C]',
    'ncl-4x3x9': 'BatchNorm1d on [N, C, L]',
    'nchw-3x5x4x6': 'BatchNorm2d',
    'ncdhw-2x3x2x3x4': 'BatchNorm3d',
    'cumulative-average': 'momentum=None',
    'no-affine': 'affine=False',
    'no-running-stats': 'track_running_stats=False: batch statistics in evaluation too',
  },
  'keras.json': {
    'padded-4x7x3': '[N, T, C]: sequences that end early',
    'images-3x4x5x2': '[N, H, W, C], with a mask of pixels',
    'rows-11x4': '[N, C]: rows that are left out',
  },
  'extras-pytorch.json': {
    'relu-13x5': 'ReLU behind BatchNorm1d',
    'residual-relu-4x5x3x2': 'the end of a residual block',
    'residual-6x4': 'an addition alone',
    'gathered-rows-17x4': 'the rows that count, gathered',
    'whole-samples-6x3x5': 'a mask of samples, of which trailing axes are left out',
    'gathered-last-3x6x4': 'positions of sequences, channels last',
    'nan-in-the-residual-4x3': 'ReLU lets NaN through, and its gradient',
  },
};
