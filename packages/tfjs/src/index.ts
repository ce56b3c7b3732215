// The public names of @batchnorm/tfjs.
export { type BatchNormArguments, type BatchNormLayer, type RegisterOptions, registerBatchNorm } from './layer.js';
