/** Goal: a checkpoint reads back as written; anything else reads as none, and never throws. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { encodeCheckpoint, parseCheckpoint, sameCheckpoint } from './checkpoint.ts';

it('reads back what was written', () => {
  const checkpoint = fc.record({
    incarnation: fc.string(),
    revision: fc.maxSafeNat(),
    session: fc.string(),
  });
  fc.assert(
    fc.property(checkpoint, checkpoint, (one, other) => {
      expect(parseCheckpoint(encodeCheckpoint(one))).toEqual(one);
      expect(sameCheckpoint(one, parseCheckpoint(encodeCheckpoint(one)))).toBe(true);
      const equal = JSON.stringify(one) === JSON.stringify(other);
      expect(sameCheckpoint(one, other)).toBe(equal);
    }),
  );
});

it.each([
  '',
  'null',
  '[]',
  '"x"',
  '{"incarnation":"a","session":"b"}',
  '{"incarnation":"a","session":"b","revision":-1}',
  '{"incarnation":"a","session":"b","revision":1.5}',
  '{"incarnation":1,"session":"b","revision":1}',
])('%s is none', (text) => {
  expect(parseCheckpoint(Buffer.from(text))).toBeUndefined();
});

it('random bytes are none, and none make it throw', () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      expect(parseCheckpoint(bytes)).toBeUndefined();
    }),
  );
});

it('none is only the same as none', () => {
  expect(sameCheckpoint(undefined, undefined)).toBe(true);
  expect(sameCheckpoint(undefined, { incarnation: 'a', revision: 0, session: 'b' })).toBe(false);
});
