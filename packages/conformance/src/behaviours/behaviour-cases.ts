// Every rule of behaviour in every cell of the matrix.
import type { ConformanceCase } from '../conformance-case.js';
import { casesOf } from './rule.js';
import { bufferRules } from './rules/buffers.js';
import { capabilityRules } from './rules/capabilities.js';
import { collectiveRules } from './rules/collective.js';
import { deviceTensorRules } from './rules/device-tensors.js';
import { failureRules } from './rules/failures.js';
import { maskRules } from './rules/masks.js';
import { memoryRules } from './rules/memory.js';
import { orderRules } from './rules/order.js';
import { parameterRules } from './rules/parameters.js';
import { residualRules } from './rules/residuals.js';
import { syncRules } from './rules/sync.js';
import { valueRules } from './rules/values.js';

export const behaviourCases: readonly ConformanceCase[] = [
  ...valueRules,
  ...bufferRules,
  ...orderRules,
  ...collectiveRules,
  ...parameterRules,
  ...failureRules,
  ...memoryRules,
  ...deviceTensorRules,
  ...capabilityRules,
  ...maskRules,
  ...residualRules,
  ...syncRules,
].flatMap(casesOf);
