// All wrong backends, by what they are wrong about.
import { allocated } from './allocated.js';
import { combinations } from './combinations.js';
import { device } from './device.js';
import { errors } from './errors.js';
import { extras } from './extras.js';
import { float16 } from './float16.js';
import { memory } from './memory.js';
import { order } from './order.js';
import { parameters } from './parameters.js';
import { results } from './results.js';
import { sizes } from './sizes.js';
import { stages } from './stages.js';
import { suspensions } from './suspensions.js';
import { sync } from './sync.js';
import { values } from './values.js';
import { views } from './views.js';
import type { WrongBackend } from './wrong-backend.js';

export const kinds: Readonly<Record<string, readonly WrongBackend[]>> = {
  views,
  results,
  parameters,
  order,
  sizes,
  suspensions,
  'calls that return at once': sync,
  device,
  memory,
  'tensors that it allocates': allocated,
  values,
  errors,
  combinations,
  stages,
  'masks, residuals and ReLU': extras,
  float16,
};

export const wrongBackends: readonly WrongBackend[] = Object.values(kinds).flat();
