import { runChild } from './child.ts';
import type { FormatRequest } from './hostops.ts';

/** mkfs of a sparse image takes milliseconds; of a huge preallocated one on a slow disk, minutes. */
const MKFS_DEADLINE_MS = 10 * 60_000;

/**
 * Block size of ext4, sector size of xfs. mkfs sees a file and would take 1 KiB and 512 bytes for small
 * ones, but a loop device with direct I/O has the sectors of the disk below, and on one of 4 KiB (4Kn)
 * such a file system can't be mounted (EINVAL). 4 KiB work on both, so an image can move.
 */
const BLOCK_BYTES = '4096';

/**
 * mkfs on an image file of ours.
 *
 * ext4: no lazy initialisation, which would write for minutes after the first mount while the host is
 * idle. It costs nothing on an image: mke2fs discards first and knows that holes read as zero
 * (measured: 1 GiB sparse takes 33 MiB and 5 ms with and without; `nodiscard` would take 49 MiB).
 * No blocks are reserved for root, and an error found later makes it read-only instead of going on.
 *
 * xfs: without `-f`, so that mkfs itself refuses anything it recognises.
 */
export async function formatImage(request: FormatRequest, signal: AbortSignal): Promise<void> {
  const { path, uuid, label } = request;
  const options = { deadlineMs: MKFS_DEADLINE_MS, signal };
  if (request.fsType === 'ext4') {
    const layout = ['-b', BLOCK_BYTES, '-m', '0', '-e', 'remount-ro'];
    const eager = ['-E', 'lazy_itable_init=0,lazy_journal_init=0'];
    const names = ['-L', label, '-U', uuid];
    await runChild('mkfs.ext4', ['-q', ...layout, ...eager, ...names, path], options);
  } else {
    const sectors = ['-s', `size=${BLOCK_BYTES}`];
    const names = ['-L', label, '-m', `uuid=${uuid}`];
    await runChild('mkfs.xfs', ['-q', ...sectors, ...names, path], options);
  }
}
