// The public names of @batchnorm/collective-mpi.
export { createMpiCollective, type MpiCollectiveOptions } from './create-mpi-collective.js';
export { type SummedArray, sumGradients } from './sum-gradients.js';
