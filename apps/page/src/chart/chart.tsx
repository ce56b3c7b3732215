// A chart in a figure: drawn as wide as there is room, again when its data change, and never more than a few times a
// second.
import { useEffect, useRef, useState } from 'preact/hooks';

export type Plot = typeof import('./plot.js');

/** Draws into so many pixels. */
export type Draw = (plot: Plot, width: number) => Element;

interface Properties {
  /** What the chart shows, for those who can't see it. */
  readonly label: string;
  readonly draw: Draw;
  /** Drawn again when one of them changes. */
  readonly data: readonly unknown[];
  /** Kept free from the beginning, so that nothing below jumps. Pixels. */
  readonly height: number;
  /** Milliseconds between two drawings, at least. */
  readonly interval?: number;
}

export function Chart({ label, draw, data, height, interval = 0 }: Properties) {
  const host = useRef<HTMLDivElement>(null);
  const width = useWidth(host);
  const latest = useRef(draw);
  latest.current = draw;
  const pending = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const drawn = useRef(Number.NEGATIVE_INFINITY);

  useEffect(() => {
    if (width === 0 || pending.current !== undefined) return;
    const wait = drawn.current + interval - performance.now();
    pending.current = setTimeout(async () => {
      const plot = await import('./plot.js');
      pending.current = undefined;
      drawn.current = performance.now();
      const drawing = latest.current(plot, width);
      drawing.setAttribute('aria-hidden', 'true'); // the label says what it shows
      host.current?.replaceChildren(drawing);
    }, wait);
  }, [width, ...data]);

  return <div ref={host} class="chart" role="img" aria-label={label} style={{ minHeight: `${height}px` }} />;
}

function useWidth(host: { readonly current: HTMLElement | null }): number {
  const [width, setWidth] = useState(0);
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => setWidth(Math.floor(entry!.contentRect.width)));
    observer.observe(host.current!);
    return () => observer.disconnect();
  }, [host]);
  return width;
}
