// What is measured, for the visitor to change before the button is pressed.
import { shapeText } from '@batchnorm/reporting';
import { useState } from 'preact/hooks';
import { backendNames, backends } from '../backends.js';
import { parseShapes, presetShapes, type Settings } from './settings.js';

interface Properties {
  readonly settings: Settings;
  readonly disabled: boolean;
  readonly onChange: (settings: Settings) => void;
}

export function SettingsForm({ settings, disabled, onChange }: Properties) {
  const change = (changed: Partial<Settings>) => onChange({ ...settings, ...changed });
  return (
    <details class="settings">
      <summary>What is measured</summary>
      <fieldset disabled={disabled}>
        <legend>Backends</legend>
        {backendNames.map((name) => (
          <label key={name}>
            <input
              type="checkbox"
              checked={settings.backends.includes(name)}
              onChange={() => change({ backends: toggled(backendNames, settings.backends, name) })}
            />
            <span>
              {name} <span class="quiet">{backends[name].title}</span>
            </span>
          </label>
        ))}
      </fieldset>
      <fieldset disabled={disabled}>
        <legend>Correctness</legend>
        <label>
          <input type="checkbox" checked={settings.kit} onChange={() => change({ kit: !settings.kit })} />
          <span>Run the conformance kit</span>
        </label>
      </fieldset>
      <Shapes settings={settings} disabled={disabled} onChange={onChange} />
      <fieldset disabled={disabled}>
        <legend>Patience</legend>
        <NumberField
          name="Rounds of timing"
          value={settings.rounds}
          most={100}
          onChange={(rounds) => change({ rounds })}
        />
        <NumberField
          name="Seconds without a sign of life until a backend counts as hung"
          value={settings.patience}
          most={1000}
          onChange={(patience) => change({ patience })}
        />
      </fieldset>
    </details>
  );
}

function Shapes({ settings, disabled, onChange }: Properties) {
  const [problem, setProblem] = useState('');
  const own = settings.shapes.filter((shape) => !isAmong(presetShapes, shape));
  const timed = (shapes: Settings['shapes']) => onChange({ ...settings, shapes });
  const onText = (text: string) => {
    try {
      const presets = settings.shapes.filter((shape) => isAmong(presetShapes, shape));
      const added = parseShapes(text).filter((shape) => !isAmong(presets, shape));
      timed([...presets, ...added]);
      setProblem('');
    } catch (error) {
      setProblem((error as Error).message);
    }
  };
  return (
    <fieldset disabled={disabled}>
      <legend>Shapes to time, [N, C] or [N, C, H, W]</legend>
      {presetShapes.map((shape) => (
        <label key={shapeText(shape)}>
          <input
            type="checkbox"
            checked={isAmong(settings.shapes, shape)}
            onChange={() => timed([...toggledShapes(settings.shapes, shape), ...own])}
          />
          <span>{shapeText(shape)}</span>
        </label>
      ))}
      <label class="stack">
        <span>Your own, such as 128×100, 4×32×56×56</span>
        <input
          type="text"
          inputMode="text"
          autocomplete="off"
          spellcheck={false}
          value={own.map(shapeText).join(', ')}
          aria-invalid={problem !== ''}
          aria-describedby="shape-problem"
          onChange={(event) => onText(event.currentTarget.value)}
        />
      </label>
      <p id="shape-problem" class="problem" role="alert">
        {problem}
      </p>
    </fieldset>
  );
}

interface NumberFieldProperties {
  readonly name: string;
  readonly value: number;
  readonly most: number;
  readonly onChange: (value: number) => void;
}

function NumberField({ name, value, most, onChange }: NumberFieldProperties) {
  return (
    <label class="row">
      <span>{name}</span>
      <input
        type="number"
        min={1}
        max={most}
        step={1}
        required
        value={value}
        onChange={({ currentTarget: field }) => field.validity.valid && onChange(field.valueAsNumber)}
      />
    </label>
  );
}

/** With `one`, or without it if it was there; in the order of `all`. */
function toggled<T>(all: readonly T[], chosen: readonly T[], one: T): T[] {
  return all.filter((other) => chosen.includes(other) !== (other === one));
}

const isAmong = (shapes: Settings['shapes'], shape: readonly number[]) =>
  shapes.some((other) => shapeText(other) === shapeText(shape));

/** The presets that are chosen, with `one` or without it if it was there. */
function toggledShapes(chosen: Settings['shapes'], one: readonly number[]): Settings['shapes'] {
  return presetShapes.filter((shape) => isAmong(chosen, shape) !== (shape === one));
}
