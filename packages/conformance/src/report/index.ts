// @batchnorm/conformance/report: what the kit found, as tables of text, Markdown, HTML and JSON. Needs Node.
export { type BackendOptions, type BackendReport, nothing, runBackend } from './backend-report.js';
export { makeReportFolder, ReportError, writeJson, writeReport } from './report-files.js';
export { htmlReport } from './report-html.js';
export { jsonReport } from './report-json.js';
export { markdownReport } from './report-markdown.js';
export { goldenTable, matrixTable, messageLines, summaryTable } from './report-terminal.js';
export type { Run } from './run-summary.js';
export { nameOf, type Verdict, verdictOf } from './verdict.js';
