// What `selectBackend` takes within its budget, asked here and now: a program can choose on every device that it runs
// on.
import { secondsSince } from '@batchnorm/bench/clock';
import type { Operation } from '@batchnorm/select';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { BackendName } from '../backends.js';
import type { Shape } from '../shape.js';
import { WorkerClient } from '../visit/worker-client.js';
import { answerText } from './select-answer.js';

interface Properties {
  /** The fastest first. */
  readonly backends: readonly BackendName[];
  readonly shape: Shape;
  readonly operation: Operation;
  readonly patience: number;
}

export function AskSelectBackend({ backends, shape, operation, patience }: Properties) {
  const [answer, setAnswer] = useState('');
  const controller = useRef(new AbortController());
  useEffect(() => () => controller.current.abort(), []);

  const ask = async () => {
    setAnswer('asking …');
    const worker = new WorkerClient(patience, controller.current.signal);
    const begin = performance.now();
    try {
      const report = await worker.ask('select', { backends, shape, operation });
      setAnswer(answerText(report, { best: backends[0]!, shape }, secondsSince(begin)));
    } catch (error) {
      if (!controller.current.signal.aborted) setAnswer(`failed: ${(error as Error).message}`);
    } finally {
      worker.terminate();
    }
  };
  return (
    <p class="select-backend">
      <button type="button" disabled={answer === 'asking …'} onClick={ask}>
        Ask selectBackend
      </button>{' '}
      <span class="quiet" role="status">
        {answer || 'what a program would choose by itself'}
      </span>
    </p>
  );
}
