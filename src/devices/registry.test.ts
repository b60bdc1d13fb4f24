/**
 * Goal: what a scan changes is stored before it is told, what didn't change is not written, and nothing is
 * ever lost by being absent. Method: recorded hosts as roots, changed between scans.
 */
import { cpSync, existsSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { buildTree, plant } from '../../test/fixtures/sys/tree.ts';
import { MemoryFacts } from '../../test/support/memory-facts.ts';
import { tempDir } from '../../test/support/temp-dir.ts';
import { DeviceRegistry, type DeviceEvent } from './registry.ts';

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

  it('joins a scan that runs', async () => {
    const store = new MemoryFacts();
    const registry = new DeviceRegistry({ store, root: host('sata') });
    const [one, two] = await Promise.all([registry.scan(), registry.scan()]);
    expect(two).toBe(one);
    expect(store.saves).toHaveLength(3);
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
