// A number to move, with its name and value.

interface Properties {
  readonly name: string;
  readonly value: number;
  readonly min: number;
  readonly max: number;
  readonly step?: number;
  readonly onChange: (value: number) => void;
}

export function Slider({ name, value, min, max, step = 0.1, onChange }: Properties) {
  return (
    <label class="slider">
      <span>{name}</span>
      <output>{numberText(value, step < 0.1 || step === 1 ? (step === 1 ? 0 : 2) : 1)}</output>
      <input
        type="range"
        min={min}
        max={max}
        step={step}
        value={value}
        onInput={(event) => onChange(event.currentTarget.valueAsNumber)}
      />
    </label>
  );
}

/** With a true minus sign, and none in front of a zero. */
export function numberText(value: number, digits: number): string {
  return value
    .toFixed(digits)
    .replace(/^-(?=[0.]+$)/, '')
    .replace('-', '−');
}
