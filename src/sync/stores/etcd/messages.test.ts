/** Goal: the end of a prefix covers every key that begins with it, and no other, in byte order. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { prefixEnd } from './messages.ts';

const before = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) < 0;

it('is the first key after all that begin with the prefix', () => {
  const bytes = fc.uint8Array({ minLength: 1, maxLength: 6 });
  const prefixed = fc.tuple(bytes, fc.uint8Array({ maxLength: 6 }));
  fc.assert(
    fc.property(prefixed, bytes, ([prefix, rest], other) => {
      const end = prefixEnd(prefix);
      // etcd reads the single byte 0 as "to the end of all keys".
      const open = end.length === 1 && end[0] === 0;
      const covers = (key: Uint8Array): boolean =>
        !before(key, prefix) && (open || before(key, end));
      expect(covers(Buffer.concat([prefix, rest]))).toBe(true);
      const begins = Buffer.from(other).subarray(0, prefix.length).equals(prefix);
      if (!open) expect(covers(other)).toBe(begins);
    }),
  );
});

it('of all 0xff is the end of all keys', () => {
  expect(Buffer.from(prefixEnd(Buffer.from([0xff, 0xff])))).toEqual(Buffer.from([0]));
  expect(Buffer.from(prefixEnd(Buffer.from([0x61, 0xff])))).toEqual(Buffer.from([0x62]));
});
