// Every rule of behaviour in every cell of the matrix.
import type { ConformanceCase } from '../conformance-case.js';
import { casesOf, notLarge, type Rule } from './rule.js';
import { allocatedTensorRules } from './rules/allocated-tensors.js';
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

const rules: readonly Rule[] = [
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
];

export const behaviourCases: readonly ConformanceCase[] = [
  ...rules.map(notLargeIfAllocated),
  ...allocatedTensorRules,
].flatMap(casesOf);

/** The same rule, but that large allocated tensors are left to a rule which compares them with ordinary arrays. */
function notLargeIfAllocated(rule: Rule): Rule {
  const isLarge = notLarge('“an allocated tensor is a tensor” compares these sizes with ordinary arrays');
  return {
    ...rule,
    exempt: (cell, subject) =>
      (cell.memory === 'allocated' ? isLarge(cell) : undefined) ?? rule.exempt?.(cell, subject),
  };
}
