// @batchnorm/conformance/command: what a command of your own around the kit is made of. Needs Node.
export { type Cases, exitWith, type KitFlags, kitCommand, runKit, UsageError } from './kit-command.js';
export { pathOption, severalOf } from './options.js';
export { type OnStatus, ProgressLine } from './progress.js';
