// What other programs of this repository take from the command: a run, and its reports.
export { type OnStatus, ProgressLine } from './progress.js';
export { makeReportFolder, writeReport } from './report-files.js';
export { messageLines, summaryTable } from './report-terminal.js';
export { type BackendReport, runBackend } from './run-backend.js';
export type { Run } from './run-summary.js';
export { verdictOf } from './verdict.js';
