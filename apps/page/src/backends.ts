// The backends that the page tries: those of the registry that run in a browser, by the same names.
import { type BackendName, registeredOn } from '@batchnorm/catalogue/registry';

export { type BackendName, registry as backends } from '@batchnorm/catalogue/registry';

export const backendNames: readonly BackendName[] = registeredOn('chromium');
