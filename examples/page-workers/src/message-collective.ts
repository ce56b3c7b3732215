// A collective over messages: the page is the hub, which waits for a message of every worker and answers all of them.
import { BatchNormError, type Collective } from '@batchnorm/core-api';

/** What the hub answers: every rank's values, or nothing where they don't give as many. */
type Answer = readonly Float64Array[] | undefined;

/** The rank at the other end of a port of `connect`. It makes one call after the other, as layers do. */
export function messageCollective(rank: number, size: number, port: MessagePort): Collective {
  return {
    rank,
    size,
    allGather: async (values) => {
      const answer = new Promise<Answer>((resolve) => {
        port.onmessage = ({ data }) => resolve(data);
      });
      port.postMessage(values);
      const gathered = await answer;
      if (gathered) return gathered;
      throw new BatchNormError(
        'COLLECTIVE_FAILED',
        'received different numbers of values, expected as many of each rank',
      );
    },
    dispose: () => port.close(),
  };
}

/** A port for each rank, with the hub at their other ends. A worker that dies leaves the others waiting: an example. */
export function connect(size: number): readonly MessagePort[] {
  const given = new Map<number, Float64Array>();
  const channels = Array.from({ length: size }, () => new MessageChannel());
  for (const [rank, { port1 }] of channels.entries()) {
    port1.onmessage = ({ data }: MessageEvent<Float64Array>) => {
      given.set(rank, data);
      if (given.size < size) return;
      const all = channels.map((_, rank) => given.get(rank)!);
      given.clear();
      const answer: Answer = all.every(({ length }) => length === all[0]!.length) ? all : undefined;
      for (const { port1 } of channels) port1.postMessage(answer);
    };
  }
  return channels.map(({ port2 }) => port2);
}
