/**
 * The disease: a disk stops answering in the middle of a mount. Goal: the caller hears of it at the
 * deadline, the others go on, it is named, and when the disk answers again the record is right.
 * Method: a volume on a file system that is really frozen (native/stuck-disk.ts).
 */
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { StuckDisk } from '../../native/stuck-disk.ts';
import { MiB } from '../../src/base/bytes.ts';
import { openEngine } from '../../src/engine/index.ts';
import { VolumeManager } from '../../src/volumes/index.ts';
import { tempDir } from '../support/temp-dir.ts';

const isRoot = process.getuid?.() === 0;
const ME = { id: 'c', driver: 'd', service: 's' };
/** The runner's; the caller waits five seconds longer. Below the disk's own watchdog. */
const MOUNT_DEADLINE_MS = 500;

describe.runIf(isRoot)(
  'a volume on a disk that hangs (needs root: loop devices and mounts)',
  () => {
    test('hangs alone, is named, and comes back with the disk', async () => {
      using disk = new StuckDisk();
      await disk.prepare();
      const folder = tempDir('stuck-volume');
      const engine = await openEngine({ backend: 'memory', path: folder });
      onTestFinished(() => engine.close());
      const start = (): VolumeManager =>
        new VolumeManager({
          engine,
          services: [
            {
              name: 'sick',
              driver: 'loop',
              path: path.join(disk.scratch.dir, 'outer-mnt', 'volumes'),
            },
            { name: 'well', driver: 'loop', path: path.join(folder, 'images') },
          ],
          mountRoot: path.join(folder, 'mounts'),
          bootId: 'b',
          deadlinesMs: { mount: MOUNT_DEADLINE_MS },
        });
      const volumes = start();
      for (const name of ['sick', 'well']) {
        await volumes.create({ name, service: name, sizeBytes: 16 * MiB, mountAtBoot: true });
      }
      await volumes.attach('sick', ME);

      disk.freeze();
      const verdicts = volumes.mountAtBoot(300);
      const waiting = volumes.mount('sick');
      waiting.catch(() => undefined);
      expect(
        (await verdicts)
          .map(({ name, error }) => `${name}: ${error?.code ?? 'mounted'}`)
          .toSorted(),
      ).toEqual(['sick: DeadlineExceeded', 'well: mounted']);
      await volumes.unmount('well');
      await volumes.reconcile();
      await expect
        .poll(() => volumes.stuck(), { timeout: 5_000 })
        .toMatchObject([{ operation: 'mount', volumeName: 'sick', step: 'mount' }]);
      await expect(waiting).rejects.toMatchObject({ code: 'DeadlineExceeded' });

      disk.thaw();
      await expect.poll(() => volumes.stuck(), { timeout: 10_000 }).toEqual([]);
      const { status } = await volumes.get('sick');
      expect(status).toMatchObject({ phase: 'ready', mountPoint: expect.any(String) as string });
      expect(status.condition).toBeUndefined();
      expect((await engine.list('journal')).kvs).toEqual([]);
      for (const name of ['sick', 'well']) {
        await volumes.unmount(name);
        await volumes.detach(name);
        await volumes.remove(name);
      }
      await volumes.close();
    });
  },
);
