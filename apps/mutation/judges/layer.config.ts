// The layer's own tests, and the kit through it. Those of the choice of a backend say nothing about the layer.
import { judgedBy } from './judged-by.js';

const ofTheLayer = [
  'bad-input',
  'call-order',
  'device',
  'forward-pass',
  'host-backend',
  'in-range',
  'layer',
  'parameters',
  'state',
];

export default judgedBy(
  `packages/core-api/test/{${ofTheLayer.join(',')}}.test.ts`,
  'apps/mutation/judges/kit-on-js.test.ts',
);
