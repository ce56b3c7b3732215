// All wrong backends.
import { results } from './results.js';
import { views } from './views.js';
import type { WrongBackend } from './wrong-backend.js';

export const wrongBackends: readonly WrongBackend[] = [...views, ...results];
