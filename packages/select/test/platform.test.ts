// What tells one platform from another.
import { describe, expect, it } from 'vitest';
import { platformFingerprint } from '../src/platform.js';

const linux = { platform: 'linux', arch: 'x64' };
const agents = {
  Firefox: 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
  Chromium:
    'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0',
  Safari:
    'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15',
};

describe('the fingerprint of a platform', () => {
  it('names the version, system and processor of Node', () => {
    expect(platformFingerprint()).toContain(`Node ${process.versions.node}, ${process.platform} ${process.arch}, `);
    expect(platformFingerprint()).toMatch(/\d+ × \S+/);
  });

  it('tells Deno, Bun and Electron from the Node that they say they are', () => {
    const node = '24.2.0';
    const named = (versions: Record<string, string>) => platformFingerprint({ process: { ...linux, versions } });
    expect(named({ node, deno: '2.9.6' })).toBe('Deno 2.9.6, linux x64, unknown cpu');
    expect(named({ node, bun: '1.3.0' })).toBe('Bun 1.3.0, linux x64, unknown cpu');
    expect(named({ node, electron: '40.1.0' })).toBe('Electron 40.1.0, linux x64, unknown cpu');
    expect(named({ node })).toBe('Node 24.2.0, linux x64, unknown cpu');
  });

  it('does without the processor where nobody tells, or may not', () => {
    const cpus = () => {
      throw new Error('Requires sys access to "cpus"');
    };
    const versions = { node: '24.2.0', deno: '2.9.6' };
    const forbidden = { ...linux, versions, getBuiltinModule: () => ({ cpus }) };
    expect(platformFingerprint({ process: forbidden })).toBe('Deno 2.9.6, linux x64, unknown cpu');
    const silent = { ...linux, versions, getBuiltinModule: () => ({ cpus: () => [] }) };
    expect(platformFingerprint({ process: silent })).toBe('Deno 2.9.6, linux x64, unknown cpu');
  });

  it.each(Object.entries(agents))('names %s, its threads, and whether they can share memory', (browser, userAgent) => {
    const page = { navigator: { userAgent, hardwareConcurrency: 8 }, document: {} };
    const isolated = platformFingerprint({ ...page, crossOriginIsolated: true });
    expect(isolated).toBe(`${browser} page, 8 threads, cross-origin isolated, ${userAgent}`);
    expect(platformFingerprint({ ...page, crossOriginIsolated: false })).toContain(
      '8 threads, not cross-origin isolated',
    );
  });

  it('tells pages and kinds of workers apart', () => {
    const navigator = { userAgent: agents.Chromium };
    const worker = { navigator, WorkerGlobalScope: class {} };
    const places = [
      { navigator, document: {} },
      worker,
      { ...worker, ServiceWorkerGlobalScope: class {} },
      { ...worker, SharedWorkerGlobalScope: class {} },
    ];
    expect(places.map((place) => platformFingerprint(place).split(',')[0])).toEqual([
      'Chromium page',
      'Chromium worker',
      'Chromium service worker',
      'Chromium shared worker',
    ]);
  });

  it('is a text wherever JavaScript runs', () => {
    expect(platformFingerprint({})).toBe('unknown platform host, ? threads, not cross-origin isolated');
    expect(platformFingerprint({ process: linux })).toContain('unknown platform');
  });
});
