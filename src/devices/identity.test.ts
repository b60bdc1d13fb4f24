/**
 * Goal: every device of the recorded hosts is who the file beside the recording says, and an id is
 * safe as key, path segment and topic whatever the identity contains.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { buildTree, expectedIdentities, plant, treeNames } from '../../test/fixtures/sys/tree.ts';
import { tempDir } from '../../test/support/temp-dir.ts';
import { assemble } from './assemble.ts';
import type { DeviceIdentity } from './device.ts';
import { deviceId, identify } from './identity.ts';
import { IGNORED_BY_DEFAULT, observe } from './observe.ts';
import { Superblocks } from './sources/superblocks.ts';
import type { BlockFacts } from './sources/sysfs.ts';
import { Tree } from './sources/tree.ts';

const DISK: BlockFacts = {
  name: 'sda',
  major: 8,
  minor: 0,
  kind: 'disk',
  sizeBytes: 1024,
  logicalBlockBytes: 512,
  physicalBlockBytes: 512,
  rotational: false,
  readOnly: false,
  removable: false,
  holders: [],
  slaves: [],
  sectorsWritten: 0,
};

describe('recorded hosts', () => {
  const names = treeNames();
  it('are all there', () => expect(names.length).toBeGreaterThanOrEqual(11));

  it.each(names)('%s', async (name) => {
    const root = tempDir('identity');
    buildTree(name, root);
    plant(root, { 'proc/self/mountinfo': '' });
    const ignore = new Set(IGNORED_BY_DEFAULT);
    const seen = await observe(new Tree(root), new Superblocks(undefined), ignore);
    const devices = assemble(seen, '2026-01-01T00:00:00.000Z');
    const identities = devices.map(({ name: device, identity: { conflict: _, ...identity } }) => [
      device,
      identity,
    ]);
    expect(Object.fromEntries(identities)).toEqual(expectedIdentities(name));
  });
});

describe('the recipe, by what each rule must not do', () => {
  const of = (facts: Partial<BlockFacts>, content = {}) => identify({ ...DISK, ...facts }, content);

  it.each<[string, Partial<BlockFacts>, string, string]>([
    ['a WWN without serial is only medium', { wwid: 'naa.1234abcd' }, 'scsi-wwid', 'medium'],
    [
      'a junk serial does not spoil a WWN',
      { wwid: 'naa.12ab', serial: '000' },
      'scsi-wwid',
      'medium',
    ],
    [
      'a WWN made of a junk serial is junk',
      { wwid: 't10.ATA X 0000', serial: '0000' },
      'path',
      'none',
    ],
    ['a serial without size is nothing', { serial: 'ZFN0ABCD', sizeBytes: 0 }, 'path', 'none'],
    [
      'an NVMe name made of a junk serial is junk',
      { name: 'nvme0n1', wwid: 'nvme.1-2', serial: '0' },
      'path',
      'none',
    ],
  ])('%s', (_, facts, scheme, confidence) =>
    expect(of(facts)).toMatchObject({ scheme, confidence }),
  );

  it('gives a whole disk no PARTUUID, and a partition none of its disk’s names', () => {
    expect(of({}, { partUuid: 'a-1' }).scheme).toBe('path');
    expect(of({ kind: 'partition' }, { partUuid: 'a-1' })).toMatchObject({
      scheme: 'partuuid',
      value: 'a-1',
    });
  });

  it('keeps a loop device its file’s, whatever is written on it', () => {
    const loop = { kind: 'loop', backingFile: '/srv/a.img' } as const;
    expect(of(loop, { fsUuid: 'u' })).toEqual(of(loop));
  });

  it('cannot be fooled by separators inside a value', () => {
    const one = of({ serial: 'abc|d', model: 'e' });
    const other = of({ serial: 'abc', model: 'd|e' });
    expect(one.value).not.toBe(other.value);
  });
});

describe('deviceId', () => {
  const idOf = (value: string): string =>
    deviceId({ scheme: 'serial', value, confidence: 'medium' } satisfies DeviceIdentity);

  it('is the value where the value is harmless', () => {
    expect(idOf('ZFN0ABCD')).toBe('serial-ZFN0ABCD');
  });

  it('stays safe and short for any value', () => {
    expect(() =>
      fc.assert(
        fc.property(fc.uint8Array({ minLength: 1, maxLength: 300 }), (bytes) =>
          /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$/.test(idOf(Buffer.from(bytes).toString('latin1'))),
        ),
      ),
    ).not.toThrow();
  });

  it('keeps values apart that look the same once made safe', () => {
    const values = ['a/b', 'a_b', 'a b', 'a|b', 'a..b', 'x'.repeat(200), 'x'.repeat(201)];
    expect(new Set(values.map(idOf)).size).toBe(values.length);
  });

  it('cannot be imitated: a value spelled like a shortened one is shortened itself', () => {
    const shortened = idOf('a/b').slice('serial-'.length);
    expect(idOf(shortened)).not.toBe(idOf('a/b'));
  });
});
