/**
 * Goal: a claim is on the very device that was there when it was made, and whoever relies on it hears when it isn't.
 * Method: recorded hosts, changed under the registry; another boot is another boot_id in the tree.
 */
import { cpSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { buildTree, plant } from '../../test/fixtures/sys/tree.ts';
import { MemoryFacts } from '../../test/support/memory-facts.ts';
import { tempDir } from '../../test/support/temp-dir.ts';
import { DeviceRegistry } from './registry.ts';
import type { ProbeResult } from './sources/blkid.ts';

const VDB = 'sys/devices/pci0000:00/0000:00:05.0/virtio2/block/vdb';
const NOTHING: ProbeResult = { outcome: 'nothing' };
const owner = 'disk service';

let root: string;
let store: MemoryFacts;

/** The next start of the agent, on the host as it is by now. */
async function start(): Promise<DeviceRegistry> {
  const registry = new DeviceRegistry({ store, root, probe: async () => NOTHING });
  await registry.load();
  await registry.scan();
  return registry;
}

function boot(id: string): void {
  plant(root, { 'proc/sys/kernel/random/boot_id': `${id}\n` });
}

/** vdb as a SCSI disk would be: with a name that can be trusted. */
function giveItAWwid(wwid = 'naa.5000c500a1b2c3d4'): void {
  writeFileSync(path.join(root, VDB, 'wwid'), `${wwid}\n`);
}

function replug(diskseq: number): void {
  const uevent = `MAJOR=254\nMINOR=16\nDEVNAME=vdb\nDEVTYPE=disk\nDISKSEQ=${diskseq}\n`;
  writeFileSync(path.join(root, VDB, 'uevent'), uevent);
}

beforeEach(() => {
  root = tempDir('claims');
  buildTree('swap-and-files', root);
  plant(root, { 'dev/vda': '', 'dev/vdb': '' });
  store = new MemoryFacts();
  boot('boot-1');
});

describe('claim', () => {
  it('takes a device that is free, and says so once', async () => {
    const registry = await start();
    const heard: string[] = [];
    registry.subscribe(({ type, message }) => heard.push(`${type}: ${message}`));
    const claim = await registry.claim('vdb', { owner });
    const device = registry.get('vdb');
    expect(claim).toMatchObject({
      device: device.id,
      owner,
      identity: device.identity,
      bootId: 'boot-1',
      diskseq: 2,
    });
    expect(await registry.claim('vdb', { owner })).toEqual(claim);
    expect(heard).toEqual(['claimed: /dev/vdb claimed by disk service']);
    expect(registry.judge(device)).toMatchObject({
      free: false,
      reasons: expect.arrayContaining([
        { code: 'claimed', against: true, message: 'it is claimed by "disk service"' },
      ]),
    });
  });

  it('refuses what is not free, with every reason, and looks before it answers', async () => {
    const registry = await start();
    await expect(registry.claim('vda', { owner })).rejects.toMatchObject({
      code: 'Conflict',
      message: expect.stringMatching(
        /^\/dev\/vda \(.*\) is not free: it has partitions: vda1, vda2, vda3$/,
      ),
    });
    writeFileSync(path.join(root, VDB, 'ro'), '1\n');
    const usersOf = () => ['volume "x"'];
    await expect(registry.claim('vdb', { owner, usersOf })).rejects.toMatchObject({
      message: expect.stringContaining('volume "x" uses it; it is read-only'),
    });
    expect(store.claims.size).toBe(0);
  });

  it('never takes what is known by its place only', async () => {
    writeFileSync(path.join(root, VDB, 'serial'), '\n');
    const registry = await start();
    await expect(registry.claim('vdb', { owner })).rejects.toMatchObject({
      message: expect.stringContaining('nothing but its place, vdb, tells it from others'),
    });
  });

  it('refuses an owner without a name, and one that is too long', async () => {
    const registry = await start();
    for (const name of ['', ' ', 'x'.repeat(129)]) {
      const refused = registry.claim('vdb', { owner: name });
      await expect(refused).rejects.toMatchObject({ code: 'InvalidArgument' });
    }
  });

  it('gives a device to one owner only, also when two ask at once', async () => {
    const registry = await start();
    const claims = ['one', 'two'].map((name) => registry.claim('vdb', { owner: name }));
    const ended = await Promise.allSettled(claims);
    expect(ended.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
    expect(ended[1]).toMatchObject({
      reason: { code: 'Conflict', message: expect.stringContaining('is claimed by "one" since') },
    });
  });

  it('is kept over a restart', async () => {
    await (await start()).claim('vdb', { owner });
    const registry = await start();
    expect(registry.claimOf(registry.get('vdb'))).toMatchObject({ owner });
    expect(registry.claimOf(registry.get('vdb'))).not.toHaveProperty('problem');
  });
});

describe('a claim is checked again at each use', () => {
  it('holds in the next boot for a name that can be trusted, and is of that boot then', async () => {
    giveItAWwid();
    await (await start()).claim('vdb', { owner });
    boot('boot-2');
    replug(9);
    const registry = await start();
    const again = await registry.claim('vdb', { owner });
    expect(again).toMatchObject({ bootId: 'boot-2', diskseq: 9 });
    expect(JSON.parse(store.claims.get(again.device)!)).toEqual(again);
  });

  it.each([
    ['another boot', () => boot('boot-2')],
    ['another attach', () => replug(9)],
    ['a boot nobody can name', () => boot('')],
  ])('does not hold after %s for a name of low confidence', async (_, happens) => {
    await (await start()).claim('vdb', { owner });
    happens();
    const registry = await start();
    await expect(registry.claim('vdb', { owner })).rejects.toMatchObject({
      code: 'Conflict',
      message: expect.stringContaining('it was attached anew since it was claimed'),
      hint: expect.stringContaining('release it and claim it again'),
    });
    expect(registry.claimOf(registry.get('vdb'))!.problem).toContain('attached anew');
    await registry.release('vdb', { owner });
    expect(await registry.claim('vdb', { owner })).not.toHaveProperty('problem');
  });

  it('does not hold where no boot has a name: each could be another one', async () => {
    boot('');
    const registry = await start();
    await registry.claim('vdb', { owner });
    await expect(registry.claim('vdb', { owner })).rejects.toMatchObject({ code: 'Conflict' });
  });

  it('does not hold when the device under that id calls itself something else', async () => {
    await (await start()).claim('vdb', { owner });
    giveItAWwid();
    const registry = await start();
    await expect(registry.claim('vdb', { owner })).rejects.toMatchObject({
      message: expect.stringMatching(
        /it was serial disk-0002.* when it was claimed and is scsi-wwid/,
      ),
    });
  });

  it('does not hold while the device is away, or is there twice', async () => {
    giveItAWwid();
    const registry = await start();
    const { device } = await registry.claim('vdb', { owner });
    const twin = VDB.replaceAll('virtio2', 'virtio3').replace('/vdb', '/vdc');
    cpSync(path.join(root, VDB), path.join(root, twin), {
      recursive: true,
      verbatimSymlinks: true,
    });
    plant(root, {}, { 'sys/class/block/vdc': `../../../${twin}` });
    await expect(registry.claim(device, { owner })).rejects.toMatchObject({
      message: expect.stringContaining("doesn't hold: vdb and vdc claim its identity"),
    });
    for (const name of ['vdb', 'vdc']) rmSync(path.join(root, 'sys/class/block', name));
    await expect(registry.claim(device, { owner })).rejects.toMatchObject({
      message: expect.stringContaining("doesn't hold: it is not here"),
    });
    expect(registry.claimOf(registry.get(device))).toMatchObject({
      owner,
      problem: 'it is not here',
    });
  });
});

describe('release', () => {
  it('is for the owner, or by force', async () => {
    const registry = await start();
    const { device } = await registry.claim('vdb', { owner });
    await expect(registry.release('vdb', { owner: 'me' })).rejects.toMatchObject({
      code: 'Conflict',
      hint: expect.stringContaining('--force'),
    });
    expect(store.claims.has(device)).toBe(true);
    await registry.release('vdb', { owner: 'me', force: true });
    expect([store.claims.has(device), registry.claimOf(registry.get('vdb'))]).toEqual([
      false,
      undefined,
    ]);
    await expect(registry.release('vdb', { owner })).rejects.toMatchObject({ code: 'NotFound' });
  });

  it('goes before forgetting', async () => {
    const registry = await start();
    const { device } = await registry.claim('vdb', { owner });
    rmSync(path.join(root, 'sys/class/block/vdb'));
    await registry.scan();
    await expect(registry.forget(device)).rejects.toMatchObject({
      code: 'Conflict',
      message: `${device} is claimed by "disk service"`,
    });
    await registry.release(device, { owner });
    await registry.forget(device);
    expect([store.devices.has(device), store.claims.size]).toEqual([false, 0]);
  });
});
