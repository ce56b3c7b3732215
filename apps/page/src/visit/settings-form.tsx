// What is measured, for the visitor to change before the button is pressed.
import { shapeText } from '@batchnorm/reporting';
import { backendNames, backends } from '../backends.js';
import { type Shape, sameShape } from '../shape.js';
import { shapeWords } from '../words.js';
import { DraftField } from './draft-field.js';
import { type KitChoice, kitChoices, parseCount, parseShapes, presetShapes, type Settings } from './settings.js';

interface Properties {
  readonly settings: Settings;
  readonly disabled: boolean;
  readonly onChange: (settings: Settings) => void;
}

const kitWords: Readonly<Record<KitChoice, string>> = {
  fast: 'Backends that may be the fastest, in full',
  all: 'Every backend, in full and with every size: may take minutes',
  off: 'Times only, and whether what is timed is right',
};

export function SettingsForm({ settings, disabled, onChange }: Properties) {
  const change = (changed: Partial<Settings>) => onChange({ ...settings, ...changed });
  return (
    <details class="settings">
      <summary>Choose what is measured</summary>
      <fieldset disabled={disabled}>
        <legend>Backends: ways to compute it</legend>
        {backendNames.map((name) => (
          <label key={name}>
            <input
              type="checkbox"
              checked={settings.backends.includes(name)}
              onChange={() => change({ backends: toggled(backendNames, settings.backends, name) })}
            />
            <span>
              {backends[name].title} <code class="quiet">{name}</code>
            </span>
          </label>
        ))}
      </fieldset>
      <Shapes settings={settings} disabled={disabled} onChange={onChange} />
      <fieldset disabled={disabled} class="list">
        <legend>How thoroughly</legend>
        {kitChoices.map((kit) => (
          <label key={kit}>
            <input type="radio" name="kit" checked={settings.kit === kit} onChange={() => change({ kit })} />
            <span>{kitWords[kit]}</span>
          </label>
        ))}
      </fieldset>
      <fieldset disabled={disabled} class="list">
        <legend>Patience</legend>
        <DraftField
          class="row"
          label="How often each is timed"
          inputMode="numeric"
          text={String(settings.rounds)}
          onCommit={(text) => change({ rounds: parseCount('rounds', text) })}
        />
        <DraftField
          class="row"
          label="Give up on a backend after so many seconds of silence"
          inputMode="numeric"
          text={String(settings.patience)}
          onCommit={(text) => change({ patience: parseCount('patience', text) })}
        />
      </fieldset>
    </details>
  );
}

function Shapes({ settings, disabled, onChange }: Properties) {
  const { shapes } = settings;
  const own = shapes.filter((shape) => !isAmong(presetShapes, shape));
  const presets = presetShapes.filter((shape) => isAmong(shapes, shape));
  const timed = (shapes: readonly Shape[]) => onChange({ ...settings, shapes });
  return (
    <fieldset disabled={disabled} class="list">
      <legend>Sizes of the data</legend>
      {presetShapes.map((shape) => (
        <label key={shapeText(shape)}>
          <input
            type="checkbox"
            checked={isAmong(shapes, shape)}
            onChange={() => timed([...toggled(presetShapes, presets, shape), ...own])}
          />
          <span>
            {shapeWords(shape)} <code class="quiet">{shapeText(shape)}</code>
          </span>
        </label>
      ))}
      <DraftField
        label={
          <>
            Your own{' '}
            <span class="quiet">rows×features, or samples×channels×height×width, such as 128×100, 4×32×56×56</span>
          </>
        }
        text={own.map(shapeText).join(', ')}
        onCommit={(text) => timed([...presets, ...parseShapes(text).filter((shape) => !isAmong(presets, shape))])}
      />
    </fieldset>
  );
}

/** With `one`, or without it if it was there; in the order of `all`. */
function toggled<T>(all: readonly T[], chosen: readonly T[], one: T): T[] {
  return all.filter((other) => chosen.includes(other) !== (other === one));
}

const isAmong = (shapes: readonly Shape[], shape: Shape) => shapes.some((other) => sameShape(other, shape));
