/** Goal: the disk under `/` is found through partitions and volumes, and only hardware that has a name of its own counts. */
import { describe, expect, it } from 'vitest';
import { buildTree, plant } from '../../test/fixtures/sys/tree.ts';
import { tempDir } from '../../test/support/temp-dir.ts';
import { readRootDisk } from './root-disk.ts';
import { Tree } from './sources/tree.ts';

/** The recorded host `name` with these lines as its mounts. */
function host(name: string, ...mounts: string[]): Tree {
  const root = tempDir('root');
  buildTree(name, root);
  if (mounts.length > 0) plant(root, { 'proc/self/mountinfo': `${mounts.join('\n')}\n` });
  return new Tree(root);
}

describe('readRootDisk', () => {
  it('goes from a partition to its disk', async () => {
    const tree = host('nvme', '30 1 259:1 / / rw - ext4 /dev/nvme0n1p1 rw');
    expect(await readRootDisk(tree)).toBe('nvme-wwid-eui.0025385b01415a7c');
  });

  it('goes through LUKS, LVM and RAID down to every disk: their UUIDs are copied with them', async () => {
    const ids = (await readRootDisk(host('stack')))!.split('+');
    expect(ids.map((id) => id.replace(/\.\..*/, ''))).toEqual([
      'scsi-wwid-naa.50014ee200000001_WD-WCC4N0000001',
      'scsi-wwid-naa.50014ee200000002_WD-WCC4N0000002',
    ]);
  });

  it('takes btrfs by its source, and what was mounted over `/` last', async () => {
    const tree = host(
      'emmc',
      '20 1 0:2 / / rw - rootfs rootfs rw',
      '30 1 0:40 /@ / rw - btrfs /dev/mmcblk0p1 rw',
      '31 30 0:41 / /tmp rw - tmpfs tmpfs rw',
    );
    expect(await readRootDisk(tree)).toMatch(/^serial-0x3c5f7e1d_BJTD4R_31268536320/);
  });

  it.each([
    ['a hypervisor’s name for a disk', 'virtio-vm', '27 1 254:0 / / rw - ext4 /dev/vda rw'],
    ['a loop device', 'virtio-vm', '27 1 7:0 / / rw - ext4 /dev/loop0 rw'],
    ['an overlay', 'nvme', '27 1 0:50 / / rw - overlay overlay rw,lowerdir=/a'],
    ['a device that is not there', 'nvme', '27 1 8:1 / / rw - ext4 /dev/sda1 rw'],
    ['no mount at all', 'nvme', ''],
  ])('knows none for %s', async (_, name, mount) => {
    expect(await readRootDisk(host(name, mount))).toBeUndefined();
  });

  it('knows none when one of several disks has no name: the rest alone would look like a replaced disk', async () => {
    const tree = host('stack');
    const ata2 = 'sys/devices/pci0000:00/0000:00:17.0/ata2/host2/target2:0:0/2:0:0:0';
    plant(tree.root, { [`${ata2}/wwid`]: '', [`${ata2}/vpd_pg80`]: '' });
    expect(await readRootDisk(tree)).toBeUndefined();
  });

  it('comes to an end in a tree that goes in circles', async () => {
    const tree = host('stack');
    plant(tree.root, {}, { 'sys/devices/virtual/block/md127/slaves/dm-1': '../../dm-1' });
    expect((await readRootDisk(tree))!.split('+')).toHaveLength(2);
  });
});
