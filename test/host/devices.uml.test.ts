/**
 * Goal: on real SCSI disks behind a real udev, a disk stays who it is when its name moves, disks that can't be
 * told apart are not told apart, and a stack of md, LUKS and LVM is shown whole. Method: a virtual host.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { DeviceBody } from '../../src/agent/faces/agent-api/schema.ts';
import { MiB } from '../../src/base/bytes.ts';
import { Host } from './host.ts';
import type { Disk } from './scsi-disks.ts';
import { missing, SLOW } from './suite.ts';

vi.setConfig(SLOW);

describe.skipIf(missing !== '')(`SCSI disks${missing}`, () => {
  let host: Host;
  const plugged = new Set<Disk>();
  beforeAll(async () => {
    host = await Host.boot();
    await host.check('systemctl start holdfast');
  });
  afterAll(() => host?.close());
  beforeEach(async () => {
    for (const disk of plugged) await pull(disk);
  });

  async function plug(disk: Disk | { serial: string }): Promise<Disk> {
    const is = await host.plug(disk);
    plugged.add(is);
    return is;
  }

  async function pull(disk: Disk): Promise<void> {
    plugged.delete(disk);
    await host.unplug(disk);
  }

  /** By kernel name, after a look at the hardware. */
  async function devices(): Promise<ReadonlyMap<string, DeviceBody>> {
    const all = await host.json<DeviceBody[]>('holdfast device ls --rescan -o json');
    return new Map(all.filter(({ present }) => present).map((device) => [device.name, device]));
  }

  const idsOf = (found: ReadonlyMap<string, DeviceBody>): string[] =>
    ['sda', 'sdb', 'sdc'].flatMap((name) => found.get(name)?.id ?? []);

  it('are known by what they say of themselves, as udev says too', async () => {
    const disk = await plug({ serial: 'edge0001' });
    const sda = (await devices()).get('sda')!;
    expect(sda).toMatchObject({
      kind: 'disk',
      sizeBytes: 64 * MiB,
      serial: 'edge0001',
      identity: { scheme: 'scsi-wwid', confidence: 'high' },
    });
    const wwn = await host.check(
      `udevadm info -q property --property ID_WWN_WITH_EXTENSION --value /dev/${disk.name}`,
    );
    expect(sda.wwid).toBe(`naa.${wwn.replace(/^0x/, '')}`);
    expect(await host.check(`readlink -f /dev/disk/by-id/wwn-${wwn}`)).toBe('/dev/sda');
  });

  it('keep their identity when they come back in another order, and their names move', async () => {
    const disks = [];
    for (const serial of ['a001', 'b002', 'c003']) disks.push(await plug({ serial }));
    const [a, b, c] = disks as [Disk, Disk, Disk];
    const before = idsOf(await devices());
    expect([a.name, b.name, c.name, new Set(before).size]).toEqual(['sda', 'sdb', 'sdc', 3]);
    for (const disk of disks) await pull(disk);
    const known = await host.json<DeviceBody[]>('holdfast device ls --all --rescan -o json');
    expect(known.filter(({ id }) => before.includes(id)).map(({ present }) => present)).toEqual([
      false,
      false,
      false,
    ]);

    const again = [await plug(c), await plug(a), await plug(b)];
    expect(again.map(({ name }) => name)).toEqual(['sda', 'sdb', 'sdc']);
    expect(idsOf(await devices())).toEqual([before[2], before[0], before[1]]);
    const total = await host.json<DeviceBody[]>('holdfast device ls --all -o json');
    expect(total.length).toBe(known.length);
  });

  it('that share serial number and WWN are both nobody, until one is left', async () => {
    const [first, second] = [await plug({ serial: '5ame' }), await plug({ serial: '5ame' })];
    const both = await devices();
    for (const { name } of [first, second]) {
      expect(both.get(name)!.identity).toMatchObject({ scheme: 'path', confidence: 'none' });
      expect(both.get(name)!.identity.conflict).toMatch(/^scsi-wwid.*6001405.*5ame/);
      expect(both.get(name)!.quarantine?.names).toEqual([first.name, second.name]);
    }
    await pull(first);
    expect((await devices()).get(second.name)!.identity).toMatchObject({
      scheme: 'scsi-wwid',
      confidence: 'high',
    });
  });

  it('under a file system on LVM on LUKS on md are shown with all that is on them', async () => {
    const [a, b] = [await plug({ serial: '1e91' }), await plug({ serial: '1e92' })];
    await host.check(`set -e
modprobe -a raid1 dm-crypt encrypted-keys cbc aes_generic xts
mdadm --create /dev/md0 --level=1 --raid-devices=2 --assume-clean --run /dev/${a.name} /dev/${b.name}
printf secret | cryptsetup luksFormat -q --pbkdf pbkdf2 --pbkdf-force-iterations 1000 /dev/md0 -
printf secret | cryptsetup open /dev/md0 crypt -
vgcreate -q edge /dev/mapper/crypt
lvcreate -q --yes -L 16M -n data edge
mkfs.ext4 -q -L data /dev/edge/data
mkdir -p /srv/data && mount /dev/edge/data /srv/data
udevadm settle`);
    const found = await devices();
    const layers = [
      [...found.values()].find(({ mountPoints }) => mountPoints.includes('/srv/data'))!,
    ];
    for (let below = layers[0]; below?.slaves[0] !== undefined; layers.push(below)) {
      const above = below;
      below = found.get(above.slaves[0]!)!;
      expect(below.holders).toEqual([above.name]);
    }
    expect(
      layers.map(({ kind, identity, fileSystem }) => [kind, identity.scheme, fileSystem?.type]),
    ).toEqual([
      ['dm', 'dm-uuid', 'ext4'],
      ['dm', 'dm-uuid', 'LVM2_member'],
      ['md', 'md-uuid', 'crypto_LUKS'],
      ['disk', 'scsi-wwid', 'linux_raid_member'],
    ]);
    expect(layers.map(({ identity }) => identity.value).slice(0, 2)).toEqual([
      expect.stringMatching(/^LVM-/),
      expect.stringMatching(/^CRYPT-LUKS2-/),
    ]);
    expect(layers[2]!.slaves).toEqual([a.name, b.name]);

    await pull(b);
    const degraded = await devices();
    expect(degraded.get(b.name)).toBe(undefined);
    expect(degraded.get(layers[0]!.name)).toMatchObject({ mountPoints: ['/srv/data'] });
    await host.check('umount /srv/data && vgchange -q -an edge && cryptsetup close crypt');
    await host.check('mdadm --stop /dev/md0');
  });
});
