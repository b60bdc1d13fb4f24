/** Goal: the table of limits in docs/engine.md is the one in limits.ts, row by row. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { formatBytes } from '../base/bytes.ts';
import * as limits from './limits.ts';

const ROW = /^\| `([A-Z_]+)` \| ([^|]+) \|/gm;

test('docs/engine.md has every limit with its value', () => {
  const page = readFileSync(new URL('../../docs/engine.md', import.meta.url), 'utf8');
  const told = [...page.matchAll(ROW)].map(([, name, value]) => [name, value]);
  const real = Object.entries(limits).map(([name, value]) => [
    name,
    name.includes('BYTES') ? formatBytes(value) : String(value),
  ]);
  expect(real.length).toBeGreaterThan(10);
  expect(told.length).toBe(real.length);
  expect(Object.fromEntries(told)).toEqual(Object.fromEntries(real));
});
