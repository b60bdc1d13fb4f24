/** Goal: pages come near the wanted bytes whatever the items weigh, and never jump from tiny to huge. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { PageSize } from './page-size.ts';

it('keeps within its bounds and at most doubles, whatever a page held', () => {
  const page = fc.record({ items: fc.nat({ max: 500 }), bytes: fc.nat({ max: 10_000_000 }) });
  fc.assert(
    fc.property(fc.array(page), (pages) => {
      const size = new PageSize(100_000, 500);
      let before = size.items;
      for (const { items, bytes } of pages) {
        size.took(items, bytes);
        expect(size.items).toBeGreaterThanOrEqual(1);
        expect(size.items).toBeLessThanOrEqual(Math.min(500, before * 2));
        before = size.items;
      }
    }),
  );
});

it.each([
  [10, 500],
  [1000, 100],
  [50_000, 2],
  [1_000_000, 1],
])('items of %i bytes: %i to a page', (itemBytes, expected) => {
  const size = new PageSize(100_000, 500);
  for (let turn = 0; turn < 10; turn++) size.took(size.items, size.items * itemBytes);
  expect(size.items).toBe(expected);
});

it('never begins above its own maximum', () => {
  expect(new PageSize(1000, 3).items).toBe(3);
});
