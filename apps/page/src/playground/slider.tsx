// A number to move, with its name and value.
import { useId } from 'preact/hooks';

interface Properties {
  readonly name: string;
  readonly value: number;
  readonly min: number;
  readonly max: number;
  readonly step?: number;
  readonly onChange: (value: number) => void;
}

export function Slider({ name, value, min, max, step = 0.1, onChange }: Properties) {
  const id = useId();
  // Beside the label, not in it: an output would take the label for its own.
  return (
    <div class="slider">
      <label for={id}>{name}</label>
      <output for={id}>{numberText(value, digitsOf(step))}</output>
      <input
        id={id}
        type="range"
        min={min}
        max={max}
        step={step}
        value={value}
        onInput={(event) => onChange(event.currentTarget.valueAsNumber)}
      />
    </div>
  );
}

/** As many decimals as its steps have. */
function digitsOf(step: number): number {
  return Math.max(0, Math.ceil(-Math.log10(step)));
}

/** With a true minus sign, and none in front of a zero. */
export function numberText(value: number, digits: number): string {
  return value
    .toFixed(digits)
    .replace(/^-(?=[0.]+$)/, '')
    .replace('-', '−');
}
