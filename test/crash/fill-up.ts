import { closeSync, openSync, statfsSync, writeSync } from 'node:fs';
import { hasErrno } from '../../src/base/errors.ts';
import { KiB } from '../../src/base/bytes.ts';

/** What root may still write on the folder's file system. */
export function freeBytes(folder: string): number {
  const { bfree, bsize } = statfsSync(folder);
  return bfree * bsize;
}

/** Writes zeros until `bytes` are there or nothing more fits. */
export function fillUp(file: string, bytes: number): void {
  const fd = openSync(file, 'w');
  const block = Buffer.alloc(4 * KiB);
  try {
    for (let written = 0; written < bytes;) written += writeSync(fd, block);
  } catch (thrown) {
    if (!hasErrno(thrown, 'ENOSPC')) throw thrown;
  } finally {
    closeSync(fd);
  }
}
