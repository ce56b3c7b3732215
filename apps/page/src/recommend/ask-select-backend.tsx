// What a program would choose: `selectBackend` takes a moment where the page takes a minute. Asked here and now.
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
      setAnswer(answerText(report, backends[0]!, secondsSince(begin)));
    } catch (error) {
      if (!controller.current.signal.aborted) setAnswer(`failed: ${(error as Error).message}`);
    } finally {
      worker.terminate();
    }
  };
  return (
    <p class="select-backend">
      <button type="button" disabled={answer === 'asking …'} onClick={ask}>
        Let the library choose
      </button>{' '}
      <span class="quiet" role="status">
        {answer || 'as your program does, in a fraction of a second'}
      </span>
    </p>
  );
}
