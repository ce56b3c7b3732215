// What runs in browsers, too. HTML and tables for terminals, which need Node, are imports of their own.
export { executionText, threadsText } from './execution-text.js';
export { groupBy } from './group-by.js';
export {
  accuracyText,
  countsText,
  failedFirst,
  firstMessages,
  isMeasured,
  measureTexts,
  ulpTexts,
  worstOf,
} from './kit-summary.js';
export { escapeMarkdown, markdownTable } from './markdown.js';
export {
  boundText,
  digitsText,
  intervalText,
  percentText,
  ratioText,
  shapeText,
  timeText,
  ulpText,
} from './number-text.js';
export { type Column, right } from './table.js';
