/**
 * Goal: after a power cut at any instant of creating, mounting, writing and removing, every acknowledged
 * volume is there, mounts, is clean and has its synced file, and no acknowledged removal is undone.
 * Method: store, images and mount points lie on the rig's disk; the clone of a cut is another boot.
 */
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { Random } from '../crash/random.ts';
import type { VolumeProcess } from '../crash/volume-process.ts';
import { VolumeSite } from '../crash/volume-site.ts';
import { assertKept, Slot, type Known } from '../crash/volume-slot.ts';
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

/** What the cut left, as the next boot finds it. @returns how many volumes there were */
async function judge(
  site: VolumeSite,
  slots: readonly Slot[],
  known: readonly Known[],
  what: string,
) {
  const worker = await site.start();
  try {
    const volumes = await site.check(worker, []);
    slots.forEach(({ name }, index) => {
      assertKept(
        known[index]!,
        volumes.find(({ spec }) => spec.name === name),
        what,
      );
    });
    for (const volume of volumes) await examine(site, worker, volume);
    return volumes.length;
  } finally {
    await worker.kill();
    site.tearDown();
  }
}

describe.runIf(isRoot)('the power is cut (needs root: loop devices and mounts)', () => {
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
        const nextBoot = new VolumeSite(disk.folder, 'next-boot', payloads);
        found += await judge(nextBoot, slots, known, what);

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
