/** Goal: what udev wrote about a device is read as it was meant, and a host without udev has no hints. */
import { describe, expect, it } from 'vitest';
import { plant } from '../../../test/fixtures/sys/tree.ts';
import { tempDir } from '../../../test/support/temp-dir.ts';
import { Tree } from './tree.ts';
import { parseUdevRecord, readUdevHint } from './udev.ts';

/* As udev 252 writes it: links, priority, init time, tags and properties, one a line. */
const RECORD = [
  'S:disk/by-uuid/0c5f7d3e-1b2a-4c8d-9e6f-112233445566',
  'L:-100',
  'I:1234567',
  'E:ID_FS_TYPE=ext4',
  'E:ID_FS_UUID=0c5f7d3e-1b2a-4c8d-9e6f-112233445566',
  'E:ID_FS_UUID_ENC=0c5f7d3e-1b2a-4c8d-9e6f-112233445566',
  'E:ID_FS_LABEL=my_data',
  'E:ID_FS_LABEL_ENC=my\\x20d\\xc3\\xa4ta\\x5c',
  'E:ID_PART_ENTRY_UUID=AABBCCDD-01',
  'E:EMPTY=',
  'G:systemd',
  'V:1',
].join('\n');

function hintOf(record: string) {
  const root = tempDir('udev');
  plant(root, { 'run/udev/data/b8:1': record });
  return readUdevHint(new Tree(root), 8, 1);
}

describe('readUdevHint', () => {
  it('prefers the encoded values, which lost nothing', () => {
    expect(hintOf(RECORD)).toEqual({
      fsType: 'ext4',
      fsUuid: '0c5f7d3e-1b2a-4c8d-9e6f-112233445566',
      fsLabel: 'my däta\\',
      partUuid: 'aabbccdd-01',
    });
  });

  it('falls back to the plain ones', () => {
    expect(hintOf('E:ID_FS_LABEL=data\n').fsLabel).toBe('data');
  });

  it('is empty where udev has nothing, and for another device', () => {
    expect(hintOf('')).toEqual({});
    expect(readUdevHint(new Tree(tempDir('udev')), 8, 2)).toEqual({});
  });
});

it('parseUdevRecord takes properties only, and values with = in them', () => {
  const properties = parseUdevRecord(Buffer.from(`${RECORD}\nE:A=b=c\nE:=x\nEx:B=1\n`));
  expect(properties.get('A')).toBe('b=c');
  expect([properties.has('EMPTY'), properties.has(''), properties.has('B')]).toEqual([
    false,
    false,
    false,
  ]);
});
