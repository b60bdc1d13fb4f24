/** Goal: observations become devices without mixing any two up, and a stale hint never beats what was read. */
import { describe, expect, it } from 'vitest';
import { assemble as assembleAt } from './assemble.ts';
import { mountsByName, Nodes } from './nodes.ts';
import type { Observation } from './observation.ts';
import { parseMountinfo } from './sources/mountinfo.ts';
import type { BlockFacts } from './sources/sysfs.ts';

const NOW = '2026-01-01T00:00:00.000Z';
const assemble = (observations: readonly Observation[]) => assembleAt(observations, NOW);

function block(name: string, facts: Partial<BlockFacts> = {}): BlockFacts {
  return {
    name,
    major: 8,
    minor: 0,
    kind: 'disk',
    sizeBytes: 1 << 30,
    logicalBlockBytes: 512,
    physicalBlockBytes: 512,
    rotational: false,
    readOnly: false,
    removable: false,
    holders: [],
    slaves: [],
    sectorsWritten: 0,
    ...facts,
  };
}

function seen(facts: BlockFacts, more: Partial<Observation> = {}): Observation {
  const nothing = { mounts: [], swap: false, backingDevice: undefined, probe: undefined, udev: {} };
  return { block: facts, ...nothing, ...more };
}

const twin = { wwid: 'naa.600508b1', serial: 'P50' };

describe('two devices with one identity', () => {
  it('both lose it, and both say which one it was', () => {
    const devices = assemble([
      seen(block('sda', twin)),
      seen(block('sdb', twin)),
      seen(block('sdc', { ...twin, serial: 'P51' })),
    ]);
    expect(devices.map(({ identity }) => identity)).toEqual([
      { scheme: 'path', value: 'sda', confidence: 'none', conflict: 'scsi-wwid:naa.600508b1|P50' },
      { scheme: 'path', value: 'sdb', confidence: 'none', conflict: 'scsi-wwid:naa.600508b1|P50' },
      { scheme: 'scsi-wwid', value: 'naa.600508b1|P51', confidence: 'high' },
    ]);
    expect(new Set(devices.map(({ id }) => id)).size).toBe(3);
  });

  it('are named, the first sixteen of thousands', () => {
    const many = Array.from({ length: 2_000 }, (_, n) => seen(block(`sd${n}`, twin)));
    for (const { quarantine } of assemble(many)) expect(quarantine!.names).toHaveLength(16);
  });

  it('are two images with one file system UUID only when nothing better tells them apart', () => {
    const probe = { outcome: 'found', fsType: 'ext4', fsUuid: 'one' } as const;
    const zrams = [
      seen(block('zram0', { kind: 'zram' }), { probe }),
      seen(block('zram1', { kind: 'zram' }), { probe }),
    ];
    expect(assemble(zrams).map(({ identity }) => identity.conflict)).toEqual([
      'fs-uuid:one',
      'fs-uuid:one',
    ]);
    const loops = [
      seen(block('loop0', { kind: 'loop', backingFile: '/a' }), { probe }),
      seen(block('loop1', { kind: 'loop', backingFile: '/b' }), { probe }),
    ];
    expect(assemble(loops).map(({ identity }) => identity.conflict)).toEqual([
      undefined,
      undefined,
    ]);
  });
});

describe('what is written on a device', () => {
  const udev = { fsType: 'xfs', fsUuid: 'old', fsLabel: 'before' };
  const fileSystem = (more: Partial<Observation>) =>
    assemble([seen(block('sda'), more)])[0]!.fileSystem;

  it('is what the superblock says, then what udev remembers', () => {
    const probe = { outcome: 'found', fsType: 'ext4', fsUuid: 'new' } as const;
    expect(fileSystem({ probe, udev })).toEqual({ type: 'ext4', uuid: 'new' });
    expect(fileSystem({ udev })).toEqual({ type: 'xfs', uuid: 'old', label: 'before' });
    expect(fileSystem({ probe: { outcome: 'failed' }, udev })).toMatchObject({ type: 'xfs' });
  });

  it.each(['nothing', 'ambivalent'] as const)(
    'a probe that saw %s beats an older hint',
    (outcome) => {
      expect(fileSystem({ probe: { outcome }, udev })).toBeUndefined();
    },
  );

  it('is not the disk’s partition table on a partition, which udev copies there', () => {
    const hint = { partitionTable: 'gpt', partitionTableUuid: 'x' };
    const [whole, part] = assemble([
      seen(block('sda'), { udev: hint }),
      seen(block('sda1', { kind: 'partition', parent: 'sda' }), { udev: hint }),
    ]);
    expect([whole!.partitionTable, whole!.content]).toEqual(['gpt', 'found']);
    expect([part!.partitionTable, part!.content]).toEqual([undefined, 'unread']);
  });

  it('is unknown of a partition that can not be read, which has its name from the table', () => {
    const probe = { outcome: 'unreadable', partUuid: 'a-1' } as const;
    const [part] = assemble([seen(block('sda1', { kind: 'partition', parent: 'sda' }), { probe })]);
    expect(part).toMatchObject({
      content: 'unreadable',
      identity: { scheme: 'partuuid', value: 'a-1' },
    });
  });

  it('is of the type the kernel has mounted', () => {
    const mounts = parseMountinfo('1 1 8:0 / /mnt rw - ext3 /dev/sda rw\n');
    expect(fileSystem({ mounts, udev })).toMatchObject({ type: 'ext3' });
    const fuse = parseMountinfo('1 1 8:0 / /mnt rw - fuseblk /dev/sda rw\n');
    expect(fileSystem({ mounts: fuse, udev })).toMatchObject({ type: 'xfs' });
  });
});

it('finds mounts by number, and btrfs, which has none, by its source', () => {
  const devices = [
    block('vda', { major: 254, minor: 0 }),
    block('vdb', { major: 254, minor: 16 }),
    block('dm-0', { major: 252, minor: 0, dmName: 'vg-data' }),
  ];
  const mounts = parseMountinfo(
    [
      '1 1 254:0 / / rw - ext4 /dev/root rw',
      '2 1 0:40 /@ /srv rw - btrfs /dev/vdb rw',
      '3 1 0:41 / /data rw - btrfs /dev/mapper/vg-data rw',
      '4 1 0:21 / /proc rw - proc proc rw',
    ].join('\n'),
  );
  const found = mountsByName(new Nodes(devices), mounts);
  expect([...found].map(([name, [mount]]) => [name, mount!.mountPoint])).toEqual([
    ['vda', '/'],
    ['vdb', '/srv'],
    ['dm-0', '/data'],
  ]);
});

it('names mount points once, sorted, and the first 64 only', () => {
  const lines = Array.from(
    { length: 100 },
    (_, n) => `${n} 1 8:0 / /m/${String(n % 80).padStart(2, '0')} rw - ext4 /dev/sda rw`,
  );
  const [device] = assemble([seen(block('sda'), { mounts: parseMountinfo(lines.join('\n')) })]);
  expect(device!.mountPoints).toHaveLength(64);
  expect(device!.mountPoints[0]).toBe('/m/00');
  expect(device!.mountPoints[63]).toBe('/m/63');
});

it('shows partitions below their disk', () => {
  const part = { kind: 'partition', parent: 'sda' } as const;
  const devices = assemble([
    seen(block('sda')),
    seen(block('sda1', part)),
    seen(block('sda2', part)),
  ]);
  expect(devices.map(({ parent, children }) => [parent, children])).toEqual([
    [undefined, ['sda1', 'sda2']],
    ['sda', []],
    ['sda', []],
  ]);
});

it('is the same device after it has been JSON', () => {
  const devices = assemble([seen(block('sda', { model: undefined, wwid: undefined }))]);
  expect(devices).toStrictEqual(JSON.parse(JSON.stringify(devices)));
});
