// What runs in browsers, too. HTML and tables for terminals, which need Node, are imports of their own.
export * from './execution-text.js';
export * from './group-by.js';
export * from './markdown.js';
export * from './number-text.js';
export { type Column, right } from './table.js';
