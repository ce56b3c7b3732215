// All wrong backends.
import { order } from './order.js';
import { parameters } from './parameters.js';
import { results } from './results.js';
import { sizes } from './sizes.js';
import { views } from './views.js';
import type { WrongBackend } from './wrong-backend.js';

export const wrongBackends: readonly WrongBackend[] = [...views, ...results, ...parameters, ...order, ...sizes];
