/** Goal: a request is taken with its defaults filled in, or refused with a code, the numbers and the next step; nothing in between. */
import { describe, expect, test } from 'vitest';
import { MiB } from '../base/bytes.ts';
import { specOf } from './request.ts';
import type { CreateRequest, ServiceConfig } from './volume.ts';

const LOOP: ServiceConfig = { name: 'Images', driver: 'loop', path: '/i' };
const DIR: ServiceConfig = { name: 'folders', driver: 'dir', path: '/d' };
const SERVICES = [LOOP, DIR, { ...LOOP, name: 'big', fsType: 'xfs', preallocate: true } as const];
const MINTED = {
  id: '01a20ca3-25b4-70dc-9a99-e494d150ba20',
  createdAt: '2026-01-01T00:00:00.000Z',
};

/** What may come over a wire, not only what the type allows. */
const spec = (request: object) => specOf(request as CreateRequest, SERVICES, MINTED).spec;

describe('what is taken', () => {
  test('the first service and its defaults, when nothing else is said', () => {
    expect(spec({ name: 'v', sizeBytes: 16 * MiB })).toEqual({
      ...MINTED,
      name: 'v',
      service: 'Images',
      driver: 'loop',
      sizeBytes: 16 * MiB,
      fsType: 'ext4',
      preallocate: false,
      mountAtBoot: false,
      fields: {},
    });
  });

  test("a service by its name in any case, with the service's own defaults", () => {
    expect(spec({ name: 'v', service: 'BIG', sizeBytes: 300 * MiB })).toMatchObject({
      service: 'big',
      fsType: 'xfs',
      preallocate: true,
    });
    expect(
      spec({ name: 'v', service: 'big', sizeBytes: 8 * MiB, fsType: 'ext4', preallocate: false }),
    ).toMatchObject({ fsType: 'ext4', preallocate: false });
  });

  test('a size that is no whole number of blocks, rounded up', () => {
    expect(spec({ name: 'v', sizeBytes: 16 * MiB + 1 }).sizeBytes).toBe(16 * MiB + 4096);
  });

  test('a directory without a size, and an empty fsType as none', () => {
    expect(spec({ name: 'v', service: 'folders', fsType: '' })).toMatchObject({ sizeBytes: 0 });
  });

  test('what libStorage clients send and we only carry; empty and 0 are not kept', () => {
    const sent = { fields: { a: '1' }, availabilityZone: 'z', iops: 3, type: 'fast' };
    expect(spec({ name: 'v', service: 'folders', ...sent })).toMatchObject(sent);
    const empty = spec({ name: 'v', service: 'folders', availabilityZone: '', iops: 0, type: '' });
    expect(Object.keys(empty)).not.toEqual(expect.arrayContaining(['iops']));
    expect(empty).not.toHaveProperty('type');
    expect(empty).not.toHaveProperty('availabilityZone');
  });
});

describe('what is refused', () => {
  const good = { name: 'v', sizeBytes: 16 * MiB };
  test.each([
    [{ ...good, sizeBytes: 0 }, /above 0, not 0/],
    [{ ...good, sizeBytes: -1 }, /above 0, not -1/],
    [{ ...good, sizeBytes: -Infinity }, /above 0/],
    [{ ...good, sizeBytes: Number.NaN }, /number of bytes, not NaN/],
    [{ ...good, sizeBytes: '16777216' }, /not "16777216"/],
    [{ ...good, sizeBytes: null }, /not null/],
    [{ ...good, sizeBytes: {} }, /not an object/],
    [{ ...good, sizeBytes: 16 * MiB + 0.5 }, /whole number/],
    [{ ...good, sizeBytes: Infinity }, /above the largest/],
    [{ ...good, sizeBytes: Number.MAX_SAFE_INTEGER }, /above the largest/],
    [{ name: 'v' }, /"Images" needs a size/],
    [
      { ...good, sizeBytes: 8 * MiB - 1 },
      /8388607 bytes are too few for ext4, which needs 8388608/,
    ],
    [{ ...good, fsType: 'xfs' }, /too few for xfs, which needs 314572800 \(300/],
    [{ ...good, fsType: 'ext3' }, /"ext3" is not known/],
    [{ ...good, fsType: 4 }, /4 is not known/],
    [{ ...good, preallocate: 'yes' }, /preallocate must be true or false, not "yes"/],
    [{ ...good, mountAtBoot: 1 }, /mountAtBoot must be true or false, not 1/],
    [{ ...good, service: 7 }, /service must be a text/],
    [{ ...good, fields: [] }, /fields must be an object/],
    [{ ...good, fields: { a: 1 } }, /"a" must be a text, not 1/],
    [{ ...good, fields: { a: 'x'.repeat(16 * 1024) } }, /at most 16384/],
    [{ ...good, iops: -1 }, /iops must be/],
    [{ ...good, iops: 1.5 }, /iops must be/],
    [{ ...good, type: 'x'.repeat(129) }, /more than 128/],
    [{ ...good, availabilityZone: {} }, /availabilityZone must be a text/],
    [{ ...good, service: 'folders', fsType: 'ext4' }, /no file system of their own/],
    [{ ...good, service: 'folders', preallocate: true }, /cannot be preallocated/],
    [{ ...good, name: '' }, /needs a name/],
  ])('%j', (request, words) => {
    expect(() => spec(request)).toThrow(words);
    expect(() => spec(request)).toThrow(expect.objectContaining({ code: 'InvalidArgument' }));
  });

  test.each([
    [{ ...good, sizebytes: 1 }, /unknown option "sizebytes"/, /did you mean "sizeBytes"/],
    [{ ...good, fstype: 'xfs' }, /unknown option "fstype"/, /did you mean "fsType"/],
    [{ ...good, colour: 'red' }, /unknown option "colour"/, /known: name, service/],
    [{ ...good, fsType: 'ext' }, /"ext" is not known/, /did you mean "ext4"/],
    [{ ...good, fsType: 'btrfs' }, /"btrfs" is not known/, /ext4|xfs/],
  ])('%j, with what was meant', (request, words, hint) => {
    expect(() => spec(request)).toThrow(words);
    expect(() => spec(request)).toThrow(
      expect.objectContaining({ hint: expect.stringMatching(hint) as string }),
    );
  });

  test('an unknown service, with the nearest; and any, when there is none', () => {
    expect(() => spec({ ...good, service: 'image' })).toThrow(
      expect.objectContaining({ code: 'NotFound', hint: 'did you mean "Images"?' }),
    );
    expect(() => specOf(good, [], MINTED)).toThrow(expect.objectContaining({ code: 'NotFound' }));
  });
});
