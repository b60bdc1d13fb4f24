/** Goal: sysfs becomes facts, whatever is missing, empty, huge, not UTF-8, circular or gone in it. */
import { describe, expect, it } from 'vitest';
import { buildTree, plant } from '../../../test/fixtures/sys/tree.ts';
import { tempDir } from '../../../test/support/temp-dir.ts';
import { devicePath, parseUnitSerial, readBlockDevices, readDiskseq } from './sysfs.ts';
import { Tree } from './tree.ts';

function recorded(name: string): Tree {
  const root = tempDir('sysfs');
  buildTree(name, root);
  return new Tree(root);
}

function planted(files: Record<string, string>): Tree {
  const root = tempDir('sysfs');
  plant(root, files);
  return new Tree(root);
}

async function namesOf(tree: Tree): Promise<string[]> {
  return (await readBlockDevices(tree)).map(({ name }) => name);
}

describe('readBlockDevices', () => {
  it('makes facts of a malformed tree, and no device of what has no number', async () => {
    const devices = await readBlockDevices(recorded('malformed'));
    const [loop9, vdx, vdy] = devices;
    expect(devices.map(({ name }) => name)).toEqual(['loop9', 'vdx', 'vdy']);
    expect(loop9).toMatchObject({
      backingFile: '/srv/caf\\xe9.img',
      sizeBytes: 1024 * 1024,
      diskseq: 5,
    });
    // Neither a size beyond what a number can hold, nor "maybe", nor an empty block size is believed.
    expect(vdx).toMatchObject({ sizeBytes: 0, readOnly: false, logicalBlockBytes: 512, minor: 3 });
    expect(vdy).toMatchObject({ major: 254, minor: 4, sizeBytes: 0 });
    expect([vdy!.serial, vdy!.wwid]).toEqual([undefined, undefined]);
  });

  it('gives a partition its own size and its disk’s queue', async () => {
    const devices = await readBlockDevices(recorded('stack'));
    expect(devices.find(({ name }) => name === 'sda1')).toMatchObject({
      kind: 'partition',
      parent: 'sda',
      sizeBytes: 3907026944 * 512,
      physicalBlockBytes: 4096,
      rotational: true,
      holders: ['md127'],
      partUuid: '11111111-0000-4000-8000-000000000001',
    });
  });

  it('tells the kinds of a stack apart', async () => {
    const devices = await readBlockDevices(recorded('stack'));
    const kinds = Object.fromEntries(devices.map(({ name, kind }) => [name, kind]));
    expect(kinds).toMatchObject({ sda: 'disk', sda1: 'partition', md127: 'md', 'dm-0': 'dm' });
    expect(devices.find(({ name }) => name === 'dm-1')).toMatchObject({
      dmName: 'data_crypt',
      slaves: ['dm-0'],
    });
  });

  it('says that it failed where there is no sysfs, and reads a host without disks as one', async () => {
    await expect(readBlockDevices(planted({}))).rejects.toMatchObject({
      code: 'HostFailed',
      hint: expect.stringContaining('Is sysfs mounted?'),
    });
    expect(await namesOf(recorded('no-disks'))).toEqual([]);
  });

  it('believes no size that a number can not hold in bytes', async () => {
    const uevent = 'MAJOR=8\nMINOR=0\nDEVTYPE=disk\n';
    const dir = 'sys/class/block/sda';
    const tree = planted({ [`${dir}/uevent`]: uevent, [`${dir}/size`]: '9007199254740991\n' });
    expect(await readBlockDevices(tree)).toMatchObject([{ name: 'sda', sizeBytes: 0 }]);
  });

  it('leaves out what has no device number, as an NVMe path behind a multipath head', async () => {
    const tree = planted({
      'sys/class/block/nvme0c0n1/uevent': 'DEVTYPE=disk\n',
      'sys/class/block/nvme0n1/uevent': 'MAJOR=259\nMINOR=0\nDEVTYPE=disk\n',
    });
    expect(await namesOf(tree)).toEqual(['nvme0n1']);
  });
});

it('reads the diskseq by name', () => {
  expect(readDiskseq(recorded('virtio-vm'), 'loop0')).toBe(11);
  expect(readDiskseq(recorded('virtio-vm'), 'gone')).toBeUndefined();
});

it('knows the slash in a name', () => expect(devicePath('cciss!c0d0p1')).toBe('/dev/cciss/c0d0p1'));

describe('parseUnitSerial (SPC-4, page 80h)', () => {
  const page = (...bytes: number[]) => Buffer.from(bytes);
  it.each([
    ['a serial with padding', page(0, 0x80, 0, 4, 0x20, 0x41, 0x42, 0), 'AB'],
    ['a length beyond the page', page(0, 0x80, 0, 200, 0x41), 'A'],
    ['bytes after the length', page(0, 0x80, 0, 1, 0x41, 0x42), 'A'],
    ['bytes that are no text', page(0, 0x80, 0, 2, 0x41, 0xff), 'A?'],
    ['another page', page(0, 0x83, 0, 1, 0x41), undefined],
    ['only blanks', page(0, 0x80, 0, 2, 0x20, 0x20), undefined],
    ['a page cut short', page(0, 0x80), undefined],
    ['nothing', undefined, undefined],
  ])('%s', (_, bytes, serial) => expect(parseUnitSerial(bytes)).toBe(serial));
});
