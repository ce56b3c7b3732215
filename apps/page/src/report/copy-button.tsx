// Copies text, and says whether it did.
import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';

interface Properties {
  readonly text: () => string;
  /** For those who do not see what stands beside it. */
  readonly label?: string;
  readonly children: ComponentChildren;
}

export function CopyButton({ text, label, children }: Properties) {
  const [outcome, setOutcome] = useState('');
  const copy = async () => {
    setOutcome((await writeClipboard(text())) ? 'copied' : 'the browser refused');
    setTimeout(() => setOutcome(''), 2000);
  };
  return (
    <span class="copy">
      <button type="button" aria-label={label} onClick={copy}>
        {children}
      </button>{' '}
      <span class="quiet" role="status">
        {outcome}
      </span>
    </span>
  );
}

/** By the API, or where it is missing, as on a page without https, by a selection. */
async function writeClipboard(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = Object.assign(document.createElement('textarea'), { value: text });
    const { activeElement } = document;
    document.body.append(area);
    area.select();
    const copied = document.execCommand('copy');
    area.remove();
    (activeElement as HTMLElement | null)?.focus();
    return copied;
  }
}
