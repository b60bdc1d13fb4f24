/** Goal: any text that people read is a name, nothing that breaks terminals or lookups is, and case makes no difference. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { checkName, foldName, nameKey } from './name.ts';

describe('checkName', () => {
  test.each([
    'data1',
    '../../etc/passwd',
    '/',
    '..',
    '$(reboot); `id` "quoted"',
    'données ファイル 📦',
    '👩‍👩‍👧',
    ' with blanks ',
    'a'.repeat(128),
    'ä'.repeat(64),
    '-rf',
    '01a20ca3-25b4-70dc-9a99-e494d150ba2', // one digit short of an id
  ])('takes %j', (name) => {
    expect(() => checkName(name)).not.toThrow();
  });

  test.each([
    ['', /needs a name/],
    [undefined, /needs a name/],
    [42, /needs a name/],
    [null, /needs a name/],
    ['   ', /blank/],
    ['\u00a0\u3000', /blank/],
    ['a\0b', /U\+0000/],
    ['a\nb', /U\+000A/],
    ['\u001b[31m', /U\+001B/],
    ['a\u0085b', /U\+0085/],
    ['\ud800', /lone surrogate/],
    ['a'.repeat(300), /300 bytes.*at most 128/],
    ['ä'.repeat(65), /130 bytes/],
    ['📦'.repeat(33), /132 bytes/],
    ['01a20ca3-25b4-70dc-9a99-e494d150ba20', /looks like an id/],
    ['01A20CA3-25B4-70DC-9A99-E494D150BA20', /looks like an id/],
  ])('refuses %j', (name, words) => {
    expect(() => checkName(name)).toThrow(words);
    expect(() => checkName(name)).toThrow(expect.objectContaining({ code: 'InvalidArgument' }));
  });
});

describe('foldName', () => {
  test.each([
    ['Data', 'dATA'],
    ['STRASSE', 'straße'],
    ['ΣΊΣΥΦΟΣ', 'σίσυφος'],
    ['caf\u00e9', 'CAFE\u0301'],
  ])('%j and %j are one name', (left, right) => {
    expect(foldName(left)).toBe(foldName(right));
  });

  test.each([
    ['data', 'data '],
    ['data1', 'datal'],
    ['é', 'e'],
  ])('%j and %j are two', (left, right) => {
    expect(foldName(left)).not.toBe(foldName(right));
  });

  test('a name is the same as its upper and its lower form, however often folded', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', minLength: 1, maxLength: 40 }), (name) => {
        const folded = foldName(name);
        expect(foldName(name.toUpperCase())).toBe(folded);
        expect(foldName(folded)).toBe(folded);
      }),
    );
  });
});

test('the key of a name is a valid key whatever the name is', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', minLength: 1 }), (name) => {
      expect(nameKey(name)).toMatch(/^names\/[0-9a-f]{64}$/);
    }),
  );
});
