// A field of text that is being typed: it counts when the visitor leaves it or presses Enter, and not before, because
// half a value is none. What is wrong is said below, and stays in the field to be mended.
import type { ComponentChildren } from 'preact';
import { useId, useState } from 'preact/hooks';

interface Properties {
  readonly label: ComponentChildren;
  /** The value that counts. */
  readonly text: string;
  readonly inputMode?: 'text' | 'numeric';
  readonly class?: string;
  /** Takes the text as the value. Errors: an `Error` that says what is wrong with it. */
  readonly onCommit: (text: string) => void;
}

export function DraftField({ label, text, inputMode = 'text', class: className, onCommit }: Properties) {
  /** Undefined while the field shows the value that counts. */
  const [draft, setDraft] = useState<string>();
  const [problem, setProblem] = useState('');
  const id = useId();
  const commit = () => {
    if (draft === undefined) return;
    try {
      onCommit(draft);
      setDraft(undefined);
      setProblem('');
    } catch (error) {
      setProblem((error as Error).message);
    }
  };
  return (
    <div class={`draft ${className ?? ''}`}>
      <label for={id}>{label}</label>
      <input
        id={id}
        type="text"
        inputMode={inputMode}
        autocomplete="off"
        spellcheck={false}
        value={draft ?? text}
        aria-invalid={problem !== ''}
        aria-describedby={`${id}-problem`}
        onInput={(event) => setDraft(event.currentTarget.value)}
        onBlur={commit}
        onKeyDown={(event) => event.key === 'Enter' && commit()}
      />
      <p id={`${id}-problem`} class="problem" role="alert">
        {problem}
      </p>
    </div>
  );
}
