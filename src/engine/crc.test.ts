/** Goal: our checksum is zlib's, whatever the length, the start and what came before. */
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { crcOf, crcOfText } from './crc.ts';

const bytes = fc.uint8Array({ maxLength: 600 });

test('is zlib’s over all that there is', () => {
  fc.assert(
    fc.property(bytes, bytes, fc.nat(8), (before, after, from) => {
      const whole = Buffer.concat([before, after.subarray(from)]);
      expect(crcOf(after, from, crcOf(before))).toBe(crc32(whole));
    }),
    { numRuns: 2000 },
  );
});

test('of a text is that of its UTF-8', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.string({ unit: 'binary' })), (text) => {
      expect(crcOfText(text)).toBe(crc32(Buffer.from(text, 'utf8')));
    }),
  );
});

test('of nothing is what came before', () => {
  expect(crcOf(new Uint8Array(0), 0, 7)).toBe(7);
});
