/**
 * Goal: after a power cut at any instant of creating, mounting, writing and removing, every acknowledged
 * volume is there, mounts, is clean and has its synced file, and no acknowledged removal is undone.
 * Method: store, images and mount points lie on the rig's disk; the clone of a cut is another boot.
 */
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { MiB } from '../../src/base/bytes.ts';
import { Random } from '../crash/random.ts';
import type { VolumeProcess } from '../crash/volume-process.ts';
import { VolumeSite } from '../crash/volume-site.ts';
import { assertKept, Slot } from '../crash/volume-slot.ts';
import type { Volume } from '../../src/volumes/index.ts';
import { Rig } from './rig.ts';

const isRoot = process.getuid?.() === 0;
const SEED = Number(process.env['HOLDFAST_SEED'] ?? Date.now() % 2 ** 31);
const CUTS = 8;
/** Four images of 16 MiB and the store fit on the rig's disk. */
const SLOTS = 4;
const CUT_AFTER_MS_MIN = 100;
const CUT_AFTER_MS_SPAN = 600;

/** Mounts (which replays its journal), reads the file, unmounts, and asks e2fsck(8), which repairs nothing. */
async function examine(site: VolumeSite, worker: VolumeProcess, volume: Volume): Promise<void> {
  const { id, driver } = volume.spec;
  site.checkPayload(await worker.call('mount', id));
  await worker.call('detach', id);
  await worker.call('unmount', id);
  if (driver !== 'loop') return;
  execFileSync('e2fsck', ['-fn', path.join(site.folders.images, `${id}.img`)], { stdio: 'pipe' });
}

/** What the cut left, as the next boot finds it. @returns the volumes there are, each examined */
async function nextBootOf(site: VolumeSite): Promise<readonly Volume[]> {
  const worker = await site.start();
  try {
    const volumes = await site.check(worker, []);
    for (const volume of volumes) await examine(site, worker, volume);
    return volumes;
  } finally {
    await worker.kill();
    site.tearDown();
  }
}

describe.runIf(isRoot)('the power is cut (needs root: loop devices and mounts)', () => {
  test('at the very answer: what was created is whole, what was removed stays away', async () => {
    await using rig = await Rig.create();
    const site = new VolumeSite(rig.folder);
    const worker = await site.start();
    /** Names after a cut right now. */
    const cut = async (): Promise<string[]> => {
      await using disk = await rig.cut();
      const volumes = await nextBootOf(new VolumeSite(disk.folder, 'next-boot', site.payloads));
      return volumes.map(({ spec }) => spec.name);
    };
    try {
      for (const preallocate of [false, true]) {
        const size = { service: 'loop', sizeBytes: 16 * MiB };
        const { spec } = await worker.call('create', { name: 'image', ...size, preallocate });
        expect(await cut()).toEqual(['image']);
        await worker.call('remove', spec.id);
        expect(await cut()).toEqual([]);
      }
      const { spec } = await worker.call('create', { name: 'directory', service: 'dir' });
      expect(await cut()).toEqual(['directory']);
      await worker.call('remove', spec.id);
      expect(await cut()).toEqual([]);
    } finally {
      await worker.kill();
      site.tearDown();
    }
  });

  test(`${CUTS} times while ${SLOTS} volumes are worked on`, async () => {
    await using rig = await Rig.create();
    const site = new VolumeSite(rig.folder);
    const random = new Random(SEED);
    const slots = Array.from({ length: SLOTS }, (_, index) => new Slot(site, index, random));
    let found = 0;
    let worker = await site.start();
    try {
      for (let round = 0; round < CUTS; round += 1) {
        const what = `seed ${SEED}, cut ${round}`;
        const work = slots.map((slot) => slot.workUntilDeath(worker));
        await sleep(CUT_AFTER_MS_MIN + random.below(CUT_AFTER_MS_SPAN));
        const known = slots.map((slot) => slot.known);
        const { payloads } = site;
        await using disk = await rig.cut();
        await worker.kill();
        await Promise.all(work);
        const volumes = await nextBootOf(new VolumeSite(disk.folder, 'next-boot', payloads));
        for (const [index, { name }] of slots.entries()) {
          const volume = volumes.find(({ spec }) => spec.name === name);
          assertKept(known[index]!, volume, what);
        }
        found += volumes.length;

        worker = await site.start();
        const now = await site.check(worker, []);
        for (const slot of slots) slot.settle(now, what);
      }
      for (const volume of await worker.call('list')) await site.readAndRemove(worker, volume);
      await site.check(worker, []);
    } finally {
      await worker.kill();
      site.tearDown();
    }
    const acknowledged = slots.reduce((sum, slot) => sum + slot.acknowledged, 0);
    console.log(
      `seed ${SEED}: ${CUTS} cuts, ${acknowledged} acknowledged operations, ${found} volumes found after the cuts, none lost`,
    );
    expect(found).toBeGreaterThan(0);
  });
});
