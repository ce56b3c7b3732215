// The public names of @batchnorm/select.
export { selectBackend } from './select-backend.js';
export {
  type Candidate,
  type CandidateReport,
  type Decision,
  type Operation,
  operations,
  type Pin,
  type Selection,
  type SelectionCache,
  type SelectionReport,
  type SelectOptions,
} from './selection.js';
