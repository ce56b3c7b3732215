// What tells one platform from another.
import { describe, expect, it } from 'vitest';
import { platformFingerprint } from '../src/platform.js';

describe('the fingerprint of a platform', () => {
  it('names the version, system and processor of Node', () => {
    expect(platformFingerprint()).toContain(`Node ${process.versions.node}, ${process.platform} ${process.arch}, `);
    expect(platformFingerprint()).toMatch(/\d+ × \S+/);
  });

  it('does without the processor where Node does not tell', () => {
    const old = { versions: { node: '20.10.0' }, platform: 'linux', arch: 'x64' };
    expect(platformFingerprint({ process: old })).toBe('Node 20.10.0, linux x64, unknown cpu');
  });

  it('names the user agent and threads of a browser, and whether threads can share memory', () => {
    const navigator = { userAgent: 'Mozilla/5.0 (X11) Chrome/140', hardwareConcurrency: 8 };
    const isolated = platformFingerprint({ navigator, crossOriginIsolated: true });
    expect(isolated).toBe('Mozilla/5.0 (X11) Chrome/140, 8 threads, cross-origin isolated');
    expect(platformFingerprint({ navigator, crossOriginIsolated: false })).toContain('not cross-origin isolated');
  });

  it('is a text wherever JavaScript runs', () => {
    expect(platformFingerprint({})).toBe('unknown platform, ? threads, not cross-origin isolated');
  });
});
