// Keeps the configuration of the package away from vitest.test.mjs.
export default { test: { include: ['vitest.test.mjs'] } };
