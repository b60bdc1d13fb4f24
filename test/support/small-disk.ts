/** Small real file systems that a test can fill to the brim. Mounting needs root. */
import { closeSync, openSync, statfsSync, writeSync } from 'node:fs';
import { loopAttach, mount } from '../../native/index.ts';
import { run, type Scratch } from '../../native/scratch.ts';
import { KiB } from '../../src/base/bytes.ts';
import { hasErrno } from '../../src/base/errors.ts';

/** None of it kept for root, so that full means full. */
export async function mountExt4(scratch: Scratch, target: string, bytes: number): Promise<void> {
  const { path: source } = await loopAttach({ backingFile: scratch.image('disk', bytes) });
  run('mkfs.ext4', ['-q', '-m', '0', source]);
  await mount({ source, target, type: 'ext4' });
}

export async function mountTmpfs(_: Scratch, target: string, bytes: number): Promise<void> {
  await mount({ source: 'tmpfs', target, type: 'tmpfs', data: `size=${bytes}` });
}

export function freeBytes(folder: string): number {
  const { bfree, bsize } = statfsSync(folder);
  return bfree * bsize;
}

/** Writes until `bytes` are there or nothing more fits. */
export function fillUp(file: string, bytes = Infinity): void {
  const fd = openSync(file, 'a');
  const block = Buffer.alloc(4 * KiB, 1);
  try {
    for (let written = 0; written < bytes;) written += writeSync(fd, block);
  } catch (thrown) {
    if (!hasErrno(thrown, 'ENOSPC')) throw thrown;
  } finally {
    closeSync(fd);
  }
}
