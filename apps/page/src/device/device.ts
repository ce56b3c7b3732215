// What the browser says about the device that it runs on.

export interface Device {
  /** Such as 'Chromium 156'. */
  readonly browser: string;
  /** Such as 'Linux'. */
  readonly platform: string;
  readonly cores: number;
  /** Whether this page may share memory between threads: the server must send two headers. */
  readonly isolated: boolean;
}

/** What Chromium adds to `navigator`, which the DOM's types don't have. */
interface UserAgentData {
  readonly brands: readonly { readonly brand: string; readonly version: string }[];
  readonly platform: string;
}

export function describeDevice(): Device {
  const { userAgent, hardwareConcurrency } = navigator;
  const { userAgentData } = navigator as { userAgentData?: UserAgentData };
  const browser = userAgentData ? fromBrands(userAgentData) : fromUserAgent(userAgent);
  const platform = userAgentData?.platform || /\(([^;)]+)/.exec(userAgent)?.[1] || 'unknown system';
  return { browser, platform, cores: hardwareConcurrency, isolated: crossOriginIsolated };
}

/** The most specific brand: not the deliberate nonsense ('Not A Brand'), and Chromium only where there is no other. */
function fromBrands({ brands }: UserAgentData): string {
  const real = brands.filter(({ brand }) => !/not.?a.?brand/i.test(brand.replace(/[^a-z]/gi, '')));
  const best = real.find(({ brand }) => brand !== 'Chromium') ?? real[0];
  return best ? `${best.brand} ${best.version}` : 'unknown browser';
}

function fromUserAgent(userAgent: string): string {
  const [, name, version] = /(Firefox|Version)\/(\d+)/.exec(userAgent) ?? [];
  return name ? `${name === 'Version' ? 'Safari' : name} ${version}` : 'unknown browser';
}
