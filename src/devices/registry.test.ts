/**
 * Goal: what a scan changes is stored before it is told, what didn't change is not written, and nothing is
 * ever lost by being absent. Method: recorded hosts as roots, changed between scans.
 */
import { cpSync, existsSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { buildTree, plant } from '../../test/fixtures/sys/tree.ts';
import { MemoryFacts } from '../../test/support/memory-facts.ts';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { tempDir } from '../../test/support/temp-dir.ts';
import type { DeviceEvent } from './compare.ts';
import type { Device } from './device.ts';
import { DeviceRegistry } from './registry.ts';

const SDA = 'sys/devices/pci0000:00/0000:00:17.0/ata1/host1/target1:0:0/1:0:0:0/block/sda';
const SDA_ID = /^scsi-wwid-naa\.50014ee200000001_WD-WCC4N0000001/;

function host(name: string): string {
  const root = tempDir('registry');
  buildTree(name, root);
  const mountinfo = path.join(root, 'proc/self/mountinfo');
  if (!existsSync(mountinfo)) plant(root, { 'proc/self/mountinfo': '' });
  return root;
}

function told(events: readonly DeviceEvent[]): string[] {
  return events.map(({ type, device }) => `${type} ${device.name}`);
}

/** Takes a device away from sysfs as an unplug does; the returned function plugs it in again. */
function unplug(root: string, name: string): () => void {
  const link = path.join(root, 'sys/class/block', name);
  const kept = path.join(tempDir('unplugged'), name);
  cpSync(link, kept, { verbatimSymlinks: true });
  rmSync(link);
  return () => cpSync(kept, link, { verbatimSymlinks: true });
}

describe('DeviceRegistry', () => {
  it('stores and tells a new host once, and an unchanged one not at all', async () => {
    const store = new MemoryFacts();
    const registry = new DeviceRegistry({ store, root: host('stack') });
    const heard: string[] = [];
    registry.subscribe(({ type, device }) => {
      expect(store.devices.has(device.id)).toBe(true);
      heard.push(`${type} ${device.name}`);
    });
    const events = await registry.scan();
    expect(told(events).toSorted()).toEqual(
      ['dm-0', 'dm-1', 'dm-2', 'md127', 'sda', 'sda1', 'sdb', 'sdb1'].map((n) => `appeared ${n}`),
    );
    expect(heard).toEqual(told(events));
    const { length } = store.saves;
    expect(await registry.scan()).toEqual([]);
    expect(store.saves).toHaveLength(length);
  });

  it('knows after a restart what it knew, and writes nothing for it', async () => {
    const store = new MemoryFacts();
    const root = host('stack');
    await new DeviceRegistry({ store, root }).scan();
    const { length } = store.saves;
    const next = new DeviceRegistry({ store, root });
    await next.load();
    expect(await next.scan()).toEqual([]);
    expect(store.saves).toHaveLength(length);
  });

  it('keeps a device that is gone, without what it was part of, and knows it again', async () => {
    const store = new MemoryFacts();
    const root = host('sata');
    const registry = new DeviceRegistry({ store, root });
    await registry.scan();
    const plug = unplug(root, 'sda');
    expect(told(await registry.scan())).toEqual(['disappeared sda']);
    const absent = registry.list().find(({ name }) => name === 'sda')!;
    expect(absent).toMatchObject({
      present: false,
      serial: 'ZFN0ABCD',
      children: [],
      mountPoints: [],
    });
    expect(JSON.parse(store.devices.get(absent.id)!)).toMatchObject({ present: false });
    expect(await registry.scan()).toEqual([]);
    plug();
    expect(told(await registry.scan())).toEqual(['returned sda']);
    expect(registry.get('sda')).toMatchObject({ id: absent.id, present: true });
  });

  it('says what changed, under the same id', async () => {
    const store = new MemoryFacts();
    const root = host('stack');
    const registry = new DeviceRegistry({ store, root });
    await registry.scan();
    const before = registry.get('sda');
    expect(before.id).toMatch(SDA_ID);
    writeFileSync(path.join(root, SDA, 'ro'), '1\n');
    const [event, ...others] = await registry.scan();
    expect(others).toEqual([]);
    expect(event).toMatchObject({ type: 'changed', device: { id: before.id, readOnly: true } });
  });

  it('knows a device by another name after a boot in which names moved', async () => {
    const store = new MemoryFacts();
    const root = host('stack');
    const registry = new DeviceRegistry({ store, root });
    await registry.scan();
    const { id } = registry.get('sda');
    for (const name of ['sda1', 'sdb1', 'sdb', 'md127', 'dm-0', 'dm-1', 'dm-2']) unplug(root, name);
    const block = path.join(root, path.dirname(SDA));
    cpSync(path.join(block, 'sda'), path.join(block, 'sdz'), {
      recursive: true,
      verbatimSymlinks: true,
    });
    unplug(root, 'sda');
    plant(root, {}, { 'sys/class/block/sdz': `../../../${path.dirname(SDA)}/sdz` });
    const moved = (await registry.scan()).find(({ device }) => device.id === id);
    expect(moved).toMatchObject({ type: 'changed', device: { name: 'sdz' } });
  });

  it('tries a save that failed again, and tells of nothing that is not stored', async () => {
    const store = new MemoryFacts();
    const registry = new DeviceRegistry({ store, root: host('sata') });
    const heard: string[] = [];
    registry.subscribe(({ device }) => heard.push(device.name));
    store.refuse = ({ name }) => name === 'sda';
    await expect(registry.scan()).rejects.toThrow('refused');
    expect(registry.list().map(({ name }) => name)).not.toContain('sda');
    expect(heard.toSorted()).toEqual(['sda1', 'sr0']);
    store.refuse = () => false;
    expect(told(await registry.scan())).toEqual(['appeared sda']);
  });

  it('sees in a scan what had changed when it was asked for, also while one runs', async () => {
    const store = new MemoryFacts();
    const root = host('sata');
    const registry = new DeviceRegistry({ store, root });
    const next: Promise<readonly DeviceEvent[]>[] = [];
    store.refuse = () => {
      // The first scan has looked and is storing what it saw.
      if (next.length === 0) unplug(root, 'sr0');
      if (next.length < 3) next.push(registry.scan());
      return false;
    };
    expect(told(await registry.scan())).toContain('appeared sr0');
    const shared = await Promise.all(next);
    expect(shared.map(told)).toEqual(Array.from({ length: 3 }, () => ['disappeared sr0']));
  });
});

describe('a look that failed is not an empty host', () => {
  it.each(['sys/class/block', 'proc/self/mountinfo'])('without %s', async (gone) => {
    const store = new MemoryFacts();
    const root = host('stack');
    const registry = new DeviceRegistry({ store, root });
    await registry.scan();
    const { length } = store.saves;
    rmSync(path.join(root, gone), { recursive: true });
    await expect(registry.scan()).rejects.toMatchObject({ code: 'HostFailed' });
    expect(registry.list().every(({ present }) => present)).toBe(true);
    expect(store.saves).toHaveLength(length);
  });
});

describe('what is left out', () => {
  it('are loop numbers with nothing attached, unless asked for', async () => {
    const root = host('virtio-vm');
    const names = async (ignore?: []) => {
      const registry = new DeviceRegistry({ store: new MemoryFacts(), root, ignore });
      await registry.scan();
      return registry.list().map(({ name }) => name);
    };
    expect(await names()).toEqual(['loop0', 'vda', 'zram0']);
    expect(await names([])).toEqual(['loop0', 'loop1', 'vda', 'zram0']);
  });
});

describe('get', () => {
  it('takes an id, a name or a path, and names the nearest for anything else', async () => {
    const registry = new DeviceRegistry({ store: new MemoryFacts(), root: host('stack') });
    expect(() => registry.get('sda')).toThrow(
      expect.objectContaining({ code: 'NotFound', hint: expect.stringContaining('scan first') }),
    );
    await registry.scan();
    const device = registry.get('sda');
    expect(registry.get(device.id)).toBe(device);
    expect(registry.get('/dev/sda')).toBe(device);
    expect(() => registry.get('sdc')).toThrow(
      expect.objectContaining({
        code: 'NotFound',
        hint: expect.stringMatching(/Nearest: sd[ab], sd[ab],/),
      }),
    );
  });
});

it('takes the mounts of the stack from the names device-mapper gave', async () => {
  const registry = new DeviceRegistry({ store: new MemoryFacts(), root: host('stack') });
  await registry.scan();
  expect(registry.get('dm-1')).toMatchObject({
    mountPoints: ['/', '/mnt/with space'],
    slaves: ['dm-0'],
    holders: [],
  });
  expect(registry.get('sda1')).toMatchObject({ parent: 'sda', holders: ['md127'] });
  expect(registry.get('sda').children).toEqual(['sda1']);
});

/** Another disk with the same names as sda: what a cloned LUN, or a bad controller, looks like. */
function plugTwin(root: string): void {
  const block = path.join(root, path.dirname(SDA));
  cpSync(path.join(block, 'sda'), path.join(block, 'sdt'), {
    recursive: true,
    verbatimSymlinks: true,
  });
  rmSync(path.join(block, 'sdt/sda1'), { recursive: true });
  plant(root, {}, { 'sys/class/block/sdt': `../../../${path.dirname(SDA)}/sdt` });
}

describe('two live devices with one identity', () => {
  it('are quarantined both, with events that name both, and released when one is gone', async () => {
    const store = new MemoryFacts();
    const root = host('stack');
    const registry = new DeviceRegistry({ store, root });
    await registry.scan();
    const { id } = registry.get('sda');
    plugTwin(root);
    const events = await registry.scan();
    expect(told(events).toSorted()).toEqual([
      'quarantined sda',
      'quarantined sda',
      'quarantined sdt',
    ]);
    for (const { message } of events) {
      expect(message).toContain(`/dev/sda and /dev/sdt claim one identity, ${id}:`);
    }
    for (const name of ['sda', 'sdt']) {
      expect(registry.get(name)).toMatchObject({
        identity: { scheme: 'path', confidence: 'none' },
        quarantine: { id, names: ['sda', 'sdt'] },
        present: true,
      });
    }
    expect(registry.get(id)).toMatchObject({ present: false, quarantine: { id } });
    expect(await registry.scan()).toEqual([]);

    unplug(root, 'sdt');
    expect(told(await registry.scan()).toSorted()).toEqual([
      'disappeared sda',
      'disappeared sdt',
      'released sda',
    ]);
    expect(registry.get('sda')).toMatchObject({ id, present: true });
    expect(registry.get('sda')).not.toHaveProperty('quarantine');
  });

  it('are gone, not quarantined for ever, when both are', async () => {
    const root = host('stack');
    const registry = new DeviceRegistry({ store: new MemoryFacts(), root });
    await registry.scan();
    const { id } = registry.get('sda');
    plugTwin(root);
    await registry.scan();
    for (const name of ['sda', 'sdt', 'sda1']) unplug(root, name);
    await registry.scan();
    expect(registry.get(id)).not.toHaveProperty('quarantine');
    expect(registry.get(id)).toMatchObject({ present: false });
    expect(await registry.scan()).toEqual([]);
  });
});

describe('the paths to a multipath disk', () => {
  it('are known by place, quarantined by nobody, and the disk is the map', async () => {
    const registry = new DeviceRegistry({ store: new MemoryFacts(), root: host('multipath') });
    expect(told(await registry.scan()).every((event) => event.startsWith('appeared'))).toBe(true);
    for (const name of ['sda', 'sda1', 'sdb', 'sdb1']) {
      expect(registry.get(name)).toMatchObject({ legOf: 'dm-0', identity: { scheme: 'path' } });
      expect(registry.get(name)).not.toHaveProperty('quarantine');
    }
    expect(registry.get('dm-0')).toMatchObject({ layer: 'multipath', layerName: 'mpatha' });
    expect(registry.get('dm-1')).toMatchObject({ layer: 'partition', mountPoints: ['/srv'] });
  });

  it('keep that when only one of them is left', async () => {
    const root = host('multipath');
    const registry = new DeviceRegistry({ store: new MemoryFacts(), root });
    await registry.scan();
    for (const name of ['sdb', 'sdb1']) unplug(root, name);
    expect(told(await registry.scan()).toSorted()).toEqual(['disappeared sdb', 'disappeared sdb1']);
  });
});

it('tells what a stack is made of', async () => {
  const registry = new DeviceRegistry({ store: new MemoryFacts(), root: host('stack') });
  await registry.scan();
  const layers = ['md127', 'dm-0', 'dm-1', 'dm-2'].map((name) => {
    const { layer, layerName } = registry.get(name);
    return [layer, layerName];
  });
  expect(layers).toEqual([
    ['raid', 'raid1'],
    ['lvm', 'vg0-data'],
    ['luks', 'data_crypt'],
    ['other', 'nameless'],
  ]);
});

it('tells what is swapped to, and what a loop’s file and a zram’s cold pages lie on', async () => {
  const registry = new DeviceRegistry({ store: new MemoryFacts(), root: host('swap-and-files') });
  await registry.scan();
  expect(registry.get('zram0')).toMatchObject({ swap: true, backingDevice: 'vda3' });
  // Under /srv/images three file systems were mounted over each other: the last one has the file.
  expect(registry.get('loop0')).toMatchObject({ swap: false, backingDevice: 'vda2' });
});

describe('facts and history', () => {
  it('say since when something is so, over changes of other facts and over restarts', async () => {
    const store = new MemoryFacts();
    const root = host('stack');
    const clock = new FakeClock();
    const at = () => new Date(clock.wallMs()).toISOString();
    const registry = new DeviceRegistry({ store, root, clock });
    const firstAt = at();
    await registry.scan();
    clock.advance(60_000);
    writeFileSync(path.join(root, SDA, 'ro'), '1\n');
    const next = new DeviceRegistry({ store, root, clock });
    await next.load();
    const [{ message }] = (await next.scan()) as [DeviceEvent];
    expect(message).toBe('/dev/sda changed: read-only no -> yes');
    const { facts, history } = next.get('sda');
    const since = Object.fromEntries(facts.map((fact) => [fact.name, [fact.source, fact.since]]));
    expect(since).toMatchObject({ serial: ['sysfs', firstAt], 'read-only': ['sysfs', at()] });
    expect(history).toEqual([
      { at: firstAt, event: 'appeared' },
      { at: at(), event: 'changed', detail: 'read-only no -> yes' },
    ]);
  });

  it('leave mounts out of the history, but tell them', async () => {
    const root = host('stack');
    const registry = new DeviceRegistry({ store: new MemoryFacts(), root });
    await registry.scan();
    const line = '30 1 252:1 / /other rw,relatime shared:1 - ext4 /dev/mapper/data_crypt rw\n';
    writeFileSync(path.join(root, 'proc/self/mountinfo'), line);
    const events = await registry.scan();
    expect(events.map(({ message }) => message)).toEqual(['/dev/dm-1 changed: mounted at /other']);
    expect(registry.get('dm-1').history).toHaveLength(1);
  });

  it('keep the last sixteen events of a device that flaps', async () => {
    const root = host('sata');
    const registry = new DeviceRegistry({ store: new MemoryFacts(), root });
    await registry.scan();
    for (let n = 0; n < 10; n += 1) {
      const plug = unplug(root, 'sda');
      await registry.scan();
      plug();
      await registry.scan();
    }
    const { history } = registry.get('sda');
    expect(history).toHaveLength(16);
    expect(history.at(-1)).toMatchObject({ event: 'returned' });
    expect(history.at(-2)).toMatchObject({ event: 'disappeared' });
  });

  it('of a record from before there were any begin now', async () => {
    const store = new MemoryFacts();
    const root = host('sata');
    await new DeviceRegistry({ store, root }).scan();
    const later: ReadonlySet<string> = new Set(['facts', 'history', 'swap', 'content', 'recipe']);
    for (const [id, json] of store.devices) {
      const members = Object.entries(JSON.parse(json) as Device);
      const old = members.filter(([name]) => !later.has(name));
      store.devices.set(id, JSON.stringify(Object.fromEntries(old)));
    }
    const registry = new DeviceRegistry({ store, root });
    await registry.load();
    expect(told(await registry.scan()).toSorted()).toEqual([
      'changed sda',
      'changed sda1',
      'changed sr0',
    ]);
    expect(registry.get('sda').history).toHaveLength(1);
  });
});

it('knows a disk again whose identity became a better one, under the id it had', async () => {
  const store = new MemoryFacts();
  const root = host('stack');
  const wwid = path.join(root, path.dirname(path.dirname(SDA)), 'wwid');
  rmSync(wwid);
  const registry = new DeviceRegistry({ store, root });
  await registry.scan();
  const { id } = registry.get('sda');
  expect(id).toMatch(/^serial-/);
  writeFileSync(wwid, 'naa.50014ee200000001\n');
  expect(told(await registry.scan())).toEqual(['changed sda']);
  expect(registry.get('sda')).toMatchObject({ id, identity: { scheme: 'scsi-wwid' } });
  expect(await registry.scan()).toEqual([]);
  // A twin of what it is by now contests it, whatever its id is.
  plugTwin(root);
  await registry.scan();
  expect(registry.get(id)).toMatchObject({
    present: false,
    quarantine: { id: expect.stringMatching(SDA_ID), names: ['sda', 'sdt'] },
  });
  unplug(root, 'sdt');
  await registry.scan();
  const next = new DeviceRegistry({ store, root });
  await next.load();
  expect(await next.scan()).toEqual([]);
});

describe('forget', () => {
  it('deletes the record of what is gone; back again, it is a new device', async () => {
    const store = new MemoryFacts();
    const root = host('sata');
    const registry = new DeviceRegistry({ store, root });
    await registry.scan();
    const plug = unplug(root, 'sda');
    await registry.scan();
    const { id } = registry.list().find(({ name }) => name === 'sda')!;
    const heard: DeviceEvent[] = [];
    registry.subscribe((event) => heard.push(event));
    await registry.forget(id);
    expect(told(heard)).toEqual(['forgotten sda']);
    expect([store.devices.has(id), registry.list().some((device) => device.id === id)]).toEqual([
      false,
      false,
    ]);
    expect(await registry.scan()).toEqual([]);
    plug();
    expect(told(await registry.scan())).toEqual(['appeared sda']);
  });

  it('refuses what is there, what is quarantined, and what nobody knows', async () => {
    const store = new MemoryFacts();
    const root = host('stack');
    const registry = new DeviceRegistry({ store, root });
    await registry.scan();
    const { id } = registry.get('sda');
    await expect(registry.forget('sda')).rejects.toMatchObject({
      code: 'Conflict',
      message: `/dev/sda (${id}) is there; nothing was forgotten`,
    });
    await expect(registry.forget('sdzz')).rejects.toMatchObject({ code: 'NotFound' });
    plugTwin(root);
    await registry.scan();
    await expect(registry.forget(id)).rejects.toMatchObject({ code: 'Conflict' });
    expect(store.devices.has(id)).toBe(true);
  });

  it('keeps what the store could not delete', async () => {
    const store = new MemoryFacts();
    const root = host('sata');
    const registry = new DeviceRegistry({ store, root });
    await registry.scan();
    unplug(root, 'sr0');
    await registry.scan();
    const { id } = registry.list().find(({ name }) => name === 'sr0')!;
    store.refuseDelete = true;
    await expect(registry.forget(id)).rejects.toThrow('refused');
    expect(registry.get(id).present).toBe(false);
  });

  it('waits for a scan that runs: a device that is just back is not deleted', async () => {
    const store = new MemoryFacts();
    const root = host('sata');
    const registry = new DeviceRegistry({ store, root });
    await registry.scan();
    const plug = unplug(root, 'sda');
    await registry.scan();
    const { id } = registry.list().find(({ name }) => name === 'sda')!;
    plug();
    const scan = registry.scan();
    await expect(registry.forget(id)).rejects.toMatchObject({ code: 'Conflict' });
    expect(told(await scan)).toEqual(['returned sda']);
  });
});
