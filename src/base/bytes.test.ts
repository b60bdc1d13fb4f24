/** Goal: sizes people type are understood exactly or not at all; what is shown reads back. */
import { describe, expect, it } from 'vitest';
import { formatBytes, GiB, KiB, MiB, parseBytes } from './bytes.ts';

describe('parseBytes', () => {
  it.each([
    ['0', 0],
    ['512', 512],
    ['1K', KiB],
    ['1.5GiB', 1.5 * GiB],
    ['10g', 10 * GiB],
    ['256 MiB', 256 * MiB],
  ])('%s', (text, bytes) => expect(parseBytes(text)).toBe(bytes));

  it.each(['', '-1', '1e9', 'GiB', '1.3', '1PiB', 'NaN', '9999999999T', '0x10', '1 2'])(
    'refuses %j',
    (text) => expect(parseBytes(text)).toBeUndefined(),
  );
});

describe('formatBytes', () => {
  it.each([
    [0, '0 B'],
    [1023, '1023 B'],
    [1536 * MiB, '1.5 GiB'],
    [GiB, '1 GiB'],
  ])('%d', (bytes, text) => expect(formatBytes(bytes)).toBe(text));
});
