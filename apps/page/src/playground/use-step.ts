// A training step for what the sliders say.
import { useEffect, useState } from 'preact/hooks';
import { type Step, type StepInput, trainingStep } from './training-step.js';

/** The latest that has been computed; undefined before the first. */
export function useStep(input: StepInput): Step | undefined {
  const [step, setStep] = useState<Step>();
  useEffect(() => {
    let current = true;
    void trainingStep(input).then((result) => current && setStep(result));
    return () => {
      current = false;
    };
  }, Object.values(input));
  return step;
}
