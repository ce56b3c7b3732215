// What ranks say first: who differs is named, in the same words on every rank.
import { describe, expect, it } from 'vitest';
import { assertAgreement, frameLength, type Status, valuesOf, valuesPerFrame, writeFrame } from '../src/frame.js';
import { codeOf } from './code-of.js';

function frame(sequence: number, status: Status, length: number): Float64Array {
  const frame = new Float64Array(frameLength);
  const values = Float64Array.from({ length }, (_, n) => n + 0.5);
  writeFrame(frame, sequence, status, values);
  return frame;
}

describe('frames', () => {
  it.each([0, 1, valuesPerFrame, valuesPerFrame + 1])('carry the first of %i values', (length) => {
    const carried = valuesOf(frame(3, 'values', length), length);
    expect(carried).toHaveLength(Math.min(length, valuesPerFrame));
    expect([...carried]).toEqual(Array.from(carried, (_, n) => n + 0.5));
  });

  it('agree where sequence, status and length are the same', () => {
    expect(() => assertAgreement([frame(3, 'values', 2), frame(3, 'values', 2)])).not.toThrow();
  });

  const older = frame(3, 'values', 2);
  older[0] = 0;
  it.each([
    ['another call', frame(4, 'values', 2), /rank 1 with call 4, expected call 3, as rank 0 has/],
    ['another length', frame(3, 'values', 9), /rank 1 with 9 values, expected 2 values, as rank 0 has/],
    ['a failure', frame(3, 'failed', 0), /a call that failed on rank 1/],
    ['a rank that has left', frame(3, 'left', 0), /rank 1, which has left/],
    ['another protocol', older, /rank 1 with protocol 0/],
  ])('do not agree with those of %s', (_, other, message) => {
    const attempt = () => assertAgreement([frame(3, 'values', 2), other, frame(3, 'values', 2)]);
    expect(attempt).toThrow(message);
    expect(codeOf(attempt)).toBe('COLLECTIVE_FAILED');
  });
});
