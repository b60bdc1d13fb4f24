/** Goal: a serial that many machines share identifies none of them, and a real one is never thrown away. */
import { describe, expect, it } from 'vitest';
import { isJunk, isJunkWwid, isPlaceholder } from './junk.ts';

describe('isJunk', () => {
  it.each([
    '',
    '  ',
    '0',
    'AB',
    '00000000',
    'ffffffff-ffff-ffff-ffff-ffffffffffff',
    '00000000-0000-0000-0000-000000000000',
    '03000200-0400-0500-0006-000700080009',
    '0x00000000',
    '....',
    'To be filled by O.E.M.',
    'default string',
    ' None ',
    '0123456789ABCDE',
    '0123456789',
    '1234567890',
    '12345',
    '98765',
  ])('%j says nothing', (serial) => expect(isJunk(serial)).toBe(true));

  it.each([
    'ZFN0ABCD',
    '0x3c5f7e1d',
    '4C530001230925117360',
    'WD-WCC4N0000001',
    '123',
    'overlayblk',
  ])('%j is somebody', (serial) => expect(isJunk(serial)).toBe(false));
});

it.each([
  ['naa.0000000000000000', true],
  ['eui.ffffffffffffffff', true],
  ['uuid.03000200-0400-0500-0006-000700080009', true],
  ['naa.5000c500a1b2c3d4', false],
  ['nvme.1e4b-324a31', false],
])('isJunkWwid(%j) is %j', (wwid, junk) => expect(isJunkWwid(wwid)).toBe(junk));

it('keeps a maker with a short name', () => {
  expect([isPlaceholder('HP'), isPlaceholder('System manufacturer')]).toEqual([false, true]);
});
