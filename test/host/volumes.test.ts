/**
 * Goal: loop volumes on the real kernel: what others do to them behind our back is noticed and nothing
 * is lost by it, a full disk leaves nothing half made, and without root what needs root says so.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chownSync,
  mkdirSync,
  readFileSync,
  renameSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { MiB } from '../../src/base/bytes.ts';
import { openEngine, type Engine } from '../../src/engine/index.ts';
import { VolumeManager, type ServiceConfig } from '../../src/volumes/index.ts';
import { VolumeProcess } from '../crash/volume-process.ts';
import { tearDown } from '../crash/volume-site.ts';
import { attachedFiles, dataIn, kernelView } from '../crash/volume-view.ts';
import { tempDir } from '../support/temp-dir.ts';

const isRoot = process.getuid?.() === 0;
const ME = { id: 'c', driver: 'd', service: 's' };
/** Nobody, on Debian. */
const UNPRIVILEGED = 65534;

describe.runIf(isRoot)('loop volumes (needs root: loop devices and mounts)', () => {
  let folder: string;
  let engine: Engine;
  let volumes: VolumeManager;

  const at = (...names: string[]): string => path.join(folder, ...names);
  const view = () =>
    kernelView({ images: at('images'), directories: at('dirs'), mountRoot: at('mounts') });
  const start = (...services: ServiceConfig[]): VolumeManager =>
    new VolumeManager({
      engine,
      services: [{ name: 's', driver: 'loop', path: at('images') }, ...services],
      mountRoot: at('mounts'),
      bootId: 'b',
    });
  const create = (name: string) => volumes.create({ name, sizeBytes: 16 * MiB });

  beforeEach(async () => {
    folder = tempDir('volumes');
    engine = await openEngine({ backend: 'memory', path: folder });
    volumes = start();
  });
  afterEach(async () => {
    await volumes.close();
    await engine.close();
    tearDown(folder);
  });

  test('a whole life, each verb twice: the second writes nothing, and nothing is left', async () => {
    const { spec } = await create('a');
    const twice = async (verb: () => Promise<unknown>): Promise<void> => {
      const first = await verb();
      const { revision } = engine;
      expect(await verb()).toEqual(first);
      expect(engine.revision).toBe(revision);
    };
    await twice(() => volumes.mount('a'));
    await twice(() => volumes.attach('a', ME));
    await twice(() => volumes.unmount('a'));
    expect(view()).toMatchObject({ attached: [at('images', `${spec.id}.img`)], mounted: [] });
    await twice(() => volumes.detach('a', ME));
    await volumes.remove('a');
    const nothing = { images: [], directories: [], attached: [], mounted: [], mountPoints: [] };
    expect(view()).toEqual(nothing);
  });

  test('a preallocated image has all its blocks, before and after mkfs', async () => {
    const { spec } = await volumes.create({ name: 'a', sizeBytes: 16 * MiB, preallocate: true });
    const [blocks] = execFileSync('stat', ['-c', '%b', at('images', `${spec.id}.img`)])
      .toString()
      .split('\n');
    expect(Number(blocks) * 512).toBeGreaterThanOrEqual(16 * MiB);
    await volumes.mount('a');
    await volumes.unmount('a');
  });

  test('the manager of a next run takes over what is mounted, and touches nothing', async () => {
    await create('a');
    const before = await volumes.mount('a');
    const next = start();
    const { revision } = engine;
    await next.recover();
    expect(engine.revision).toBe(revision);
    expect(await next.get('a')).toEqual(before);
    await next.unmount('a');
  });

  test('an unmount and a detach by hand are noticed', async () => {
    await create('a');
    const { status } = await volumes.mount('a');
    execFileSync('umount', [status.mountPoint!]);
    await volumes.reconcile();
    expect((await volumes.get('a')).status).toMatchObject({ device: status.device });
    expect((await volumes.get('a')).status.mountPoint).toBeUndefined();
    await volumes.attach('a', ME);
    execFileSync('losetup', ['--detach', status.device!]);
    await volumes.reconcile();
    const after = await volumes.get('a');
    expect(after.status).toMatchObject({ phase: 'ready', attachments: [] });
    expect(after.status.device).toBeUndefined();
  });

  test('a device left over after an unmount by hand goes with the next unmount', async () => {
    await create('a');
    const { status } = await volumes.mount('a');
    execFileSync('umount', [status.mountPoint!]);
    await volumes.unmount('a');
    expect(view()).toMatchObject({ attached: [], mounted: [], mountPoints: [] });
  });

  test('a vanished image hurts nobody else, is not made anew, and is cured when it is back', async () => {
    const { spec } = await create('a');
    await create('b');
    const image = at('images', `${spec.id}.img`);
    renameSync(image, at('moved'));
    await volumes.reconcile();
    expect((await volumes.get('a')).status.condition).toMatchObject({ code: 'DataMissing' });
    await expect(volumes.mount('a')).rejects.toMatchObject({ code: 'Corrupt' });
    await volumes.mount('b');
    await volumes.unmount('b');
    expect(dataIn(at('images'))).toHaveLength(1);
    renameSync(at('moved'), image);
    expect((await volumes.mount('a')).status.condition).toBeUndefined();
    await volumes.unmount('a');
  });

  test('an image deleted under its mount is told; its last copy is not let go, nor forgotten while mounted', async () => {
    const { spec } = await create('a');
    await volumes.mount('a');
    unlinkSync(at('images', `${spec.id}.img`));
    await volumes.reconcile();
    const { status } = await volumes.get('a');
    expect(status).toMatchObject({ condition: { code: 'DataMissing' } });
    expect(status.mountPoint).toBeDefined();
    await expect(volumes.unmount('a')).rejects.toMatchObject({ code: 'Conflict' });
    await expect(volumes.remove('a', { force: true })).rejects.toMatchObject({ code: 'Conflict' });
    expect(view().mounted).toEqual([status.mountPoint]);
    // By hand, once the files are copied away.
    execFileSync('umount', [status.mountPoint!]);
    execFileSync('losetup', ['--detach', status.device!]);
    await volumes.reconcile();
    await expect(volumes.remove('a')).rejects.toMatchObject({ code: 'Conflict' });
    await volumes.remove('a', { force: true });
    expect(await volumes.list()).toEqual([]);
  });

  test('an image moved away under its mount is not lost sight of; put back, all is well', async () => {
    const { spec } = await create('a');
    await volumes.mount('a');
    renameSync(at('images', `${spec.id}.img`), at('moved'));
    await volumes.reconcile();
    const { status } = await volumes.get('a');
    expect(status).toMatchObject({ condition: { code: 'DataMissing' } });
    for (const refused of [volumes.unmount('a'), volumes.remove('a', { force: true })]) {
      await expect(refused).rejects.toMatchObject({ code: 'Conflict' });
    }
    expect(view().mounted).toEqual([status.mountPoint]);
    renameSync(at('moved'), at('images', `${spec.id}.img`));
    await volumes.unmount('a');
    await volumes.remove('a');
    expect(view()).toMatchObject({ images: [], attached: [], mounted: [] });
  });

  test('an image that was cut short is told, and not mounted', async () => {
    const { spec } = await create('a');
    truncateSync(at('images', `${spec.id}.img`), 8 * MiB);
    await volumes.reconcile();
    expect((await volumes.get('a')).status.condition).toMatchObject({ code: 'DataWrong' });
    await expect(volumes.mount('a')).rejects.toMatchObject({ code: 'Corrupt' });
    expect(view()).toMatchObject({ attached: [], mounted: [], mountPoints: [] });
  });

  test('what another mount namespace has mounted is neither detached nor removed', async () => {
    const { spec } = await create('a');
    const { status } = await volumes.attach('a', ME);
    mkdirSync(at('elsewhere'));
    const script = 'mount "$0" "$1" && echo mounted && exec sleep 60';
    const holder = spawn(
      'unshare',
      ['--mount', 'sh', '-c', script, status.device!, at('elsewhere')],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    await once(holder.stdout, 'data');
    const conflict = {
      code: 'Conflict',
      message: expect.stringContaining(at('elsewhere')) as string,
    };
    await expect(volumes.detach('a')).rejects.toMatchObject(conflict);
    await expect(volumes.remove('a', { force: true })).rejects.toMatchObject(conflict);
    // With force the attachment is forgotten; the device stays with who uses it.
    expect((await volumes.detach('a', ME, { force: true })).status).toMatchObject({
      attachments: [],
      device: status.device,
    });
    expect(view().images).toEqual([`${spec.id}.img`]);
    holder.kill();
    await once(holder, 'close');
    await volumes.remove('a');
    expect(view()).toMatchObject({ images: [], attached: [] });
  });

  test('what is mounted by hand through another path of its image is not removed, and not mounted from a second device', async () => {
    const { spec } = await create('a');
    mkdirSync(at('alias'));
    mkdirSync(at('hand'));
    execFileSync('mount', ['--bind', at('images'), at('alias')]);
    const alias = at('alias', `${spec.id}.img`);
    execFileSync('mount', ['-o', 'loop', alias, at('hand')]);
    const conflict = {
      code: 'Conflict',
      message: expect.stringContaining(at('hand')) as string,
    };
    await expect(volumes.remove('a', { force: true })).rejects.toMatchObject(conflict);
    writeFileSync(at('hand', 'file'), 'theirs');
    const { status } = await volumes.mount('a');
    const over = attachedFiles().filter(({ file }) => file.endsWith(`/${spec.id}.img`));
    expect(over).toEqual([{ device: status.device, file: alias }]);
    // One device, so one file system: what is written here is there at once.
    expect(readFileSync(path.join(status.mountPoint!, 'file'), 'utf8')).toBe('theirs');
    await volumes.unmount('a');
    expect(view()).toMatchObject({ mounted: [], images: [`${spec.id}.img`] });
    execFileSync('umount', [at('hand')]);
    await volumes.remove('a');
    expect(view()).toMatchObject({ images: [] });
    expect(attachedFiles().filter(({ file }) => file === alias)).toEqual([]);
    execFileSync('umount', [at('alias')]);
  });

  describe('on a disk that is full', () => {
    beforeEach(() => {
      mkdirSync(at('small'));
      writeFileSync(at('small.img'), '');
      truncateSync(at('small.img'), 48 * MiB);
      execFileSync('mkfs.ext4', ['-q', '-m', '0', at('small.img')]);
      execFileSync('mount', ['-o', 'loop', at('small.img'), at('small')]);
      volumes = start({ name: 'small', driver: 'loop', path: at('small', 'images') });
    });

    const nothingLeft = async (): Promise<void> => {
      expect(dataIn(at('small', 'images'))).toEqual([]);
      expect(await volumes.list()).toEqual([]);
      expect((await engine.list('journal')).kvs).toEqual([]);
    };

    test('more than is free is refused before anything is made', async () => {
      const request = { name: 'a', service: 'small', sizeBytes: 64 * MiB };
      await expect(volumes.create(request)).rejects.toMatchObject({ code: 'NoSpace' });
      await expect(
        volumes.create({ ...request, sizeBytes: 46 * MiB, preallocate: true }),
      ).rejects.toMatchObject({
        code: 'NoSpace',
        message: expect.stringMatching(/free of/) as string,
      });
      await nothingLeft();
    });

    test('of two that fit alone but not together no half is left of the one that fails', async () => {
      const create = (name: string) =>
        volumes.create({ name, service: 'small', sizeBytes: 30 * MiB, preallocate: true });
      const results = await Promise.allSettled([create('a'), create('b')]);
      const failed = results.filter((result) => result.status === 'rejected');
      expect(failed.length).toBeGreaterThan(0);
      expect(failed.map(({ reason }) => (reason as { code: string }).code)).toEqual(
        failed.map(() => 'NoSpace'),
      );
      expect(dataIn(at('small', 'images'))).toHaveLength(2 - failed.length);
      for (const { spec } of await volumes.list()) await volumes.remove(spec.id);
      await nothingLeft();
    });

    test('a sparse one whose mkfs finds no room is taken back', async () => {
      execFileSync('sh', ['-c', 'cat /dev/zero > "$0" 2>/dev/null || true', at('small', 'fill')]);
      execFileSync('sync', ['-f', at('small')]);
      const request = { name: 'a', service: 'small', sizeBytes: 40 * MiB };
      await expect(volumes.create(request)).rejects.toMatchObject({ code: 'NoSpace' });
      expect(await volumes.list()).toEqual([]);
      expect((await engine.list('journal')).kvs).toEqual([]);
    });
  });

  test('without root: directories work, images are made, and what needs root says so', async () => {
    mkdirSync(at('nobody'));
    chownSync(at('nobody'), UNPRIVILEGED, UNPRIVILEGED);
    // The folder of the whole run is only ours as well.
    execFileSync('chmod', ['o+x', folder, path.dirname(folder)]);
    const worker = new VolumeProcess(
      {
        store: at('nobody', 'store'),
        mountRoot: at('nobody', 'mounts'),
        bootId: 'b',
        services: [
          { name: 'dir', driver: 'dir', path: at('nobody', 'dirs') },
          { name: 'loop', driver: 'loop', path: at('nobody', 'images') },
        ],
      },
      UNPRIVILEGED,
    );
    await worker.call('recover');
    const { spec } = await worker.call('create', { name: 'd' });
    const { status } = await worker.call('mount', spec.id);
    expect(status.mountPoint).toBe(at('nobody', 'dirs', spec.id));
    await worker.call('unmount', spec.id);
    await worker.call('remove', spec.id);
    const loop = await worker.call('create', { name: 'l', service: 'loop', sizeBytes: 16 * MiB });
    const denied = {
      code: 'PermissionDenied',
      message: expect.stringContaining('CAP_SYS_ADMIN') as string,
    };
    await expect(worker.call('mount', loop.spec.id)).rejects.toMatchObject(denied);
    await expect(worker.call('attach', loop.spec.id, ME)).rejects.toMatchObject(denied);
    await worker.call('unmount', loop.spec.id);
    await worker.call('remove', loop.spec.id);
    expect(dataIn(at('nobody', 'images'))).toEqual([]);
    expect(await worker.call('journal')).toBe(0);
    await worker.quit();
  });
});
