/** Goal: only declared prefixes leave the host, whole segments only; what is new is local until declared. */
import { expect, it } from 'vitest';
import { DIRECTIONS, isReplicated, REPLICATED_PREFIXES } from './directions.ts';

it.each(['kv/a', 'kv/a/b', 'devices/1', 'host/facts', 'volumes/1', 'snapshots/1'])(
  '%s leaves',
  (key) => {
    expect(isReplicated(key)).toBe(true);
  },
);

it.each([
  'journal/1',
  'sync/cursor/x',
  'events/1',
  'claims/x',
  'leases/x',
  'names/x',
  'kvx/a',
  'kv',
  '/kv/a',
  'unknown/a',
  'constructor/a',
  '__proto__/a',
  '',
])('"%s" stays', (key) => {
  expect(isReplicated(key)).toBe(false);
});

it('lists the prefixes that leave in byte order, none the beginning of another', () => {
  const bytes = REPLICATED_PREFIXES.map((prefix) => Buffer.from(`${prefix}/`));
  expect(bytes).toEqual(bytes.toSorted(Buffer.compare));
  expect(REPLICATED_PREFIXES).toEqual(
    Object.keys(DIRECTIONS)
      .filter((prefix) => isReplicated(`${prefix}/x`))
      .toSorted(),
  );
});
