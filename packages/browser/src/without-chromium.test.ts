// Stands in for the tests that run in Chromium, on a machine without it.
import { inject } from 'vitest';
import { describeMissing } from './describe-backend.js';

const { backends, reason } = inject('missing');
for (const name of backends) describeMissing(name, reason);
