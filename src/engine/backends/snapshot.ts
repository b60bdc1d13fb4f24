/**
 * A private copy of a store, whole as of one instant, made by reading its files: nothing of the store
 * is written, whether its agent is dead or running. All that looks into a store offline opens such a copy.
 *
 * Why not the store itself: a second SQLite connection could checkpoint, and one to a WAL database makes
 * a -shm file, which the agent's own exclusive connection doesn't use (facts in sqlite.ts). LMDB maps what
 * it opens, so damage would kill us before the walk of its pages says so.
 *
 * SQLite: the database first, then its WAL. As long as the WAL was not restarted in between (its header,
 * with new salts, is written first then), it has every page that a checkpoint wrote meanwhile, and what it
 * ends with in the middle of a commit fails its checksum. So the same header before and after means a whole copy.
 *
 * LMDB: pages are never written in place while somebody can still read them. The same meta pages before and after
 * mean that nothing was committed meanwhile. Beside a busy agent that never happens; then a read
 * transaction of LMDB keeps the pages of one commit as they are, and the copy gets the meta page of
 * that commit. It takes a slot in the agent's lock file, which is no data, and gives it back.
 *
 * Never in the process that has the store open: closing any descriptor of a file drops its POSIX locks.
 */
import { closeSync, constants, openSync, rmSync, statSync, writeSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { open } from 'lmdb';
import { formatBytes } from '../../base/bytes.ts';
import { HoldfastError, hasErrno } from '../../base/errors.ts';
import { metaOfNewest } from './lmdb-file.ts';
import { PAGE_BYTES } from './lmdb-pages.ts';
import { fileBytes, freeBytes, notOurs, readStart, STORE_FILES, storeError } from './store-file.ts';
import { findStore, type StorePlace } from './store-place.ts';
import type { FileBackend } from './store-file.ts';

export { findStore, type FileBackend, type StorePlace };

const WAL_HEADER_BYTES = 32;
/** A checkpoint comes after 16 MiB of WAL at the earliest, a copy of such a store takes less. */
const COPIES_MAX = 20;
/** Between two of them, so that they don't fall into the same checkpoint. */
const COPY_PAUSE_MS = 100;
/** A commit takes two syncs, beginning to read takes microseconds. */
const SNAPSHOTS_MAX = 10_000;

/** @param to an empty folder. @throws NoSpace, PermissionDenied, Unavailable (it changed faster than it could be copied) */
export async function copyStore(place: StorePlace, to: string): Promise<void> {
  const { backend, file, wal } = place;
  const copy = join(to, STORE_FILES[backend]);
  try {
    if (!statSync(file).isFile()) throw notOurs(file, 'not a regular file');
    assertRoom(fileBytes(file) + fileBytes(wal), to);
    if (backend === 'sqlite') await copySqlite(place, copy);
    else await copyLmdb(place, copy);
  } catch (thrown) {
    throw storeError(thrown, `cannot copy ${file} to ${to}`, to);
  }
}

/** A file with holes takes less; asking for more than that is the safe side. */
function assertRoom(bytes: number, to: string): void {
  const free = freeBytes(to);
  if (bytes <= free) return;
  throw new HoldfastError(
    'NoSpace',
    `a copy of the store takes ${formatBytes(bytes)}, ${formatBytes(free)} are free in ${to}`,
    { hint: 'set TMPDIR to a folder with more room' },
  );
}

async function copySqlite({ file, wal }: StorePlace, copy: string): Promise<void> {
  for (let i = 0; i < COPIES_MAX; i += 1) {
    if (i > 0) await sleep(COPY_PAUSE_MS);
    const before = sqliteState(file, wal);
    await clone(file, copy);
    rmSync(`${copy}-wal`, { force: true });
    try {
      await clone(wal, `${copy}-wal`);
    } catch (thrown) {
      if (!hasErrno(thrown, 'ENOENT')) throw thrown;
    }
    if (sqliteState(file, wal) === before) return;
  }
  throw changedTooFast(file);
}

/** The same before and after a copy: no checkpoint was followed by a new WAL, and nobody opened or closed it. */
function sqliteState(file: string, wal: string): string {
  if (fileBytes(wal) > 0) return readStart(wal, WAL_HEADER_BYTES).start.toString('hex');
  const { ino, size, mtimeNs } = statSync(file, { bigint: true });
  return `${ino} ${size} ${mtimeNs}`;
}

async function copyLmdb({ file, isNameless }: StorePlace, copy: string): Promise<void> {
  for (let i = 0; i < (isNameless ? COPIES_MAX : 1); i += 1) {
    if (i > 0) await sleep(COPY_PAUSE_MS);
    const before = lmdbMetas(file);
    await clone(file, copy);
    if (lmdbMetas(file).equals(before)) return;
  }
  // Its lock file, where readers are, can't be found without a name.
  if (isNameless) throw changedTooFast(file);
  // Somebody writes: then it is open, and has its lock file.
  const reader = open({ path: file, noSubdir: true, readOnly: true, pageSize: PAGE_BYTES });
  try {
    for (let i = 0; i < SNAPSHOTS_MAX; i += 1) {
      const metas = lmdbMetas(file);
      const snapshot = reader.useReadTransaction();
      try {
        if (!lmdbMetas(file).equals(metas)) continue;
        await clone(file, copy);
        writeMetas(copy, metaOfNewest(metas));
        return;
      } finally {
        snapshot.done();
      }
    }
  } finally {
    await reader.close();
  }
  throw changedTooFast(file);
}

function lmdbMetas(file: string): Buffer {
  return readStart(file, 2 * PAGE_BYTES).start;
}

/** Both pages alike, each with its own number. */
function writeMetas(copy: string, meta: Buffer): void {
  const fd = openSync(copy, 'r+');
  try {
    for (const number of [0, 1]) {
      const page = Buffer.from(meta);
      page.writeBigUInt64LE(BigInt(number));
      writeSync(fd, page, 0, PAGE_BYTES, number * PAGE_BYTES);
    }
  } finally {
    closeSync(fd);
  }
}

/** Shares the blocks where the file system can, which takes no time and no room. */
function clone(from: string, to: string): Promise<void> {
  return copyFile(from, to, constants.COPYFILE_FICLONE);
}

function changedTooFast(file: string): HoldfastError {
  return new HoldfastError('Unavailable', `${file} changed faster than it could be copied`, {
    hint: `try again when ${dirname(file)} is written less, or set TMPDIR to a faster disk`,
    retry: 'later',
  });
}
