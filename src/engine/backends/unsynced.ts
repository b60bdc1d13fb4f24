/**
 * WHEN A SYNC FAILS. The kernel has then thrown away what it could not write, and calls its pages clean: the
 * same file gives back what was written as long as its pages stay in memory, and what the disk has later.
 * Worse, the next sync of the same blocks may succeed and still leave them unwritten (seen on ext4: the
 * extent stays marked as never written, and reads as zeros after a mount). So nothing that is written to
 * these blocks from then on can be acknowledged.
 *
 * What was acknowledged before is on the disk. So from the failure on commits are refused, and a mark lies
 * beside the file. When the store is opened the next time its files are copied to new ones, which get blocks
 * of their own and are synced, and take the old names. What the failed commit wrote may come along with that:
 * it was not answered, so it may be there or not.
 *
 * SQLite's WAL gets a second name with the mark: closing the database folds it in, on blocks that may be
 * bad, and removes the first one.
 *
 * The mark needs no sync: when the machine goes down, memory goes with it, and what the disk has is all there is.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { MiB } from '../../base/bytes.ts';
import { HoldfastError } from '../../base/errors.ts';
import { syncPath } from '../sync-path.ts';

const MARK = '.unsynced';
/** All copies are there and synced. */
const REPLACING = '.replacing';
const WAL = '-wal';
const KEPT_WAL = '-wal.kept';
const COPY = '.rewritten';
const COPY_BYTES = MiB;

/** Never throws. */
export function markUnsynced(file: string): void {
  attempt(() => linkSync(`${file}${WAL}`, `${file}${KEPT_WAL}`));
  attempt(() => writeFileSync(`${file}${MARK}`, '', { mode: 0o600 }));
}

/** Of a store that this process opened well: a sync failed since. */
export function isUnsynced(file: string): boolean {
  return existsSync(`${file}${MARK}`);
}

/** Where the disk takes not even that, this process knows, and the next one meets the same disk. */
function attempt(step: () => void): void {
  try {
    step();
  } catch {
    return;
  }
}

export function unsyncedError(file: string): HoldfastError {
  return new HoldfastError('Unavailable', `a sync of ${file} failed, so it takes no more writes`, {
    hint: 'reads go on; look at the disk (dmesg), then restart: that puts the store on new blocks',
  });
}

/** Puts a store that has the mark on new blocks; done again from the start when a crash comes between. @throws the system's error */
export function rewriteUnsynced(file: string): void {
  if (!existsSync(`${file}${REPLACING}`)) {
    if (!existsSync(`${file}${MARK}`)) return;
    copyAll(file);
    syncPath(dirname(file));
    renameSync(`${file}${MARK}`, `${file}${REPLACING}`);
    syncPath(dirname(file));
  }
  // The WAL first: over the old file it gives the same store.
  for (const at of [`${file}${WAL}`, file]) {
    if (existsSync(`${at}${COPY}`)) renameSync(`${at}${COPY}`, at);
  }
  syncPath(dirname(file));
  rmSync(`${file}${KEPT_WAL}`, { force: true });
  rmSync(`${file}${REPLACING}`);
}

function copyAll(file: string): void {
  for (const at of [`${file}${WAL}`, file]) rmSync(`${at}${COPY}`, { force: true });
  const wal = [`${file}${KEPT_WAL}`, `${file}${WAL}`].find((at) => existsSync(at));
  if (wal !== undefined) copyFile(wal, `${file}${WAL}${COPY}`);
  copyFile(file, `${file}${COPY}`);
}

/** By reading and writing: a copy that shares blocks (FICLONE) would share the bad ones. */
function copyFile(from: string, to: string): void {
  const source = openSync(from, 'r');
  const target = openSync(to, 'w', 0o600);
  try {
    const bytes = Buffer.allocUnsafe(COPY_BYTES);
    for (let got = readSync(source, bytes); got > 0; got = readSync(source, bytes)) {
      for (let at = 0; at < got;) at += writeSync(target, bytes, at, got - at);
    }
    fsyncSync(target);
  } finally {
    closeSync(source);
    closeSync(target);
  }
}
