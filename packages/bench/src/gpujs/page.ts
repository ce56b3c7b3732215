// What runs in Chromium: Node asks through `batchNormBench`.
import { type Comparison, compare, type Request } from './compare.js';

/** What Node calls in the page. */
export interface PageGlobals {
  batchNormBench(request: Request): Promise<Comparison | { unavailable: string }>;
}

(globalThis as unknown as PageGlobals).batchNormBench = compare;
