/**
 * Goal: the index finds the very ranges that a look at each of them finds, while they come and go.
 * Method: fast-check makes the ranges; its seed is in the failure.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RangeIndex } from './range-index.ts';
import { isWithin, type KeyRange } from './span.ts';

const byte = fc.nat(12).map((one) => Buffer.of(one));
const range: fc.Arbitrary<KeyRange> = fc.record({
  from: byte,
  before: fc.option(byte, { nil: undefined }),
});

test('finds what a look at each would', () => {
  const step = fc.record({ range, keep: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const index = new RangeIndex<KeyRange>();
      for (const { range: one } of steps) index.add(one, one);
      for (const { range: one, keep } of steps) if (!keep) index.remove(one);
      const kept = steps.filter(({ keep }) => keep).map((one) => one.range);
      expect(index.size).toBe(kept.length);
      for (let key = 0; key <= 13; key += 1) {
        const found = new Set(index.covering(Buffer.of(key)));
        expect(found).toEqual(new Set(kept.filter((one) => isWithin(one, Buffer.of(key)))));
      }
    }),
  );
});

test('of ranges side by side it asks one', () => {
  const index = new RangeIndex<number>();
  let asked = 0;
  for (let i = 0; i < 1000; i += 1) {
    const range = {
      from: Buffer.from(`w/${String(i).padStart(3, '0')}`),
      get before() {
        asked += 1;
        return Buffer.from(`w/${String(i).padStart(3, '0')}\uffff`);
      },
    };
    index.add(range, i);
  }
  asked = 0;
  expect([...index.covering(Buffer.from('w/500/x'))]).toEqual([500]);
  expect(asked).toBeLessThan(4);
});
