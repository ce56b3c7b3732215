// Before each test file: raises the limit of its tests where its package calls the file slow (see vitest.node.ts).
import { expect, inject, vi } from 'vitest';
import type {} from './vitest.node.js';

const { files, limit } = inject('slow');
const { testPath = '' } = expect.getState();
if (files.some((file) => testPath.endsWith(`/${file}`))) vi.setConfig({ testTimeout: limit, hookTimeout: limit });
