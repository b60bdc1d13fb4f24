/**
 * Looks at an LMDB file before LMDB does: it maps the file, so a page beyond the end kills the process
 * with SIGBUS, and a damaged one aborts it, instead of giving an error.
 *
 * The first two pages are the meta pages: a page header, then MDB_meta (mdb.c): magic u32, version u32,
 * address u64, map size u64, two tree records (the first one's pad is the page size; lmdb-pages.ts), last
 * page u64, transaction u64, in the byte order of the host (all that Holdfast runs on are little-endian).
 * "The file may be shorter if the freeDB lists the final pages" (mdb.c), so the size alone says nothing:
 * all pages that belong to a tree must be there. Reading them costs ~3 us a page from the
 * kernel's cache: 50 ms for 64 MiB.
 */
import { closeSync, openSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { checkTrees, PAGE_BYTES, TREE_RECORD_BYTES } from './lmdb-pages.ts';
import { corrupt } from '../log.ts';
import { notOurs, readStart, truncated } from './store-file.ts';

const META_AT = 24;
const META_MAGIC = 0xbeefc0de;
const FREE_TREE_AT = META_AT + 24;
const MAIN_TREE_AT = FREE_TREE_AT + TREE_RECORD_BYTES;
const LAST_PAGE_AT = META_AT + 120;
const LOCK_BYTES = 4 * PAGE_BYTES;
/** stat(2) counts blocks in this unit, whatever the file system's own. */
const STAT_BLOCK_BYTES = 512;
const TXN_AT = META_AT + 128;

/** @param names the trees a store has. @throws StateMismatch, Corrupt */
export function checkLmdbFile(file: string, names: readonly string[]): void {
  const { start, sizeBytes } = readStart(file, 2 * PAGE_BYTES);
  if (start.length < 2 * PAGE_BYTES) throw truncated(file, sizeBytes, 2 * PAGE_BYTES);
  const metas = metaPages(start);
  const strange = metas.filter((meta) => meta.readUInt32LE(META_AT) !== META_MAGIC);
  if (strange.length === metas.length) throw notOurs(file, 'no LMDB header');
  if (strange.length > 0) throw corrupt(`one of the ${metas.length} meta pages of ${file} is none`);
  const newest = metaOfNewest(start);
  const pageBytes = newest.readUInt32LE(FREE_TREE_AT);
  if (pageBytes !== PAGE_BYTES) {
    throw notOurs(file, `its pages are ${pageBytes} bytes, ours ${PAGE_BYTES}`);
  }
  const pages = Number(newest.readBigUInt64LE(LAST_PAGE_AT)) + 1;
  const fd = openSync(file, 'r');
  try {
    const found = checkTrees(
      { fd, sizeBytes, pages },
      treeRecord(newest, FREE_TREE_AT),
      treeRecord(newest, MAIN_TREE_AT),
    );
    const missing = names.filter((name) => !found.has(name));
    if (missing.length > 0) throw notOurs(file, `an LMDB file without ${missing.join(', ')}`);
  } finally {
    closeSync(fd);
  }
}

/**
 * LMDB maps its lock file (8 KiB for its 126 readers) and writes to it; on a full disk a page that has
 * no block yet kills the process with SIGBUS. So the blocks are there before LMDB comes: where they are
 * missing, the store is closed everywhere and LMDB would reset the file anyway. @throws ENOSPC
 */
export function allocateLockFile(file: string): void {
  const there = statSync(file, { throwIfNoEntry: false });
  if (there && there.blocks * STAT_BLOCK_BYTES >= LOCK_BYTES) return;
  writeFileSync(file, Buffer.alloc(LOCK_BYTES), { mode: 0o600 });
}

/**
 * Sees to it that `bytes` behind the last page in use have blocks on the disk, so that a commit of that size
 * can't run out of them. The file stays that long: later commits use it up. @throws ENOSPC
 */
export function allocateTail(file: string, bytes: number): void {
  const { start, sizeBytes } = readStart(file, 2 * PAGE_BYTES);
  const pages = Number(metaOfNewest(start).readBigUInt64LE(LAST_PAGE_AT)) + 1;
  const wantBytes = pages * PAGE_BYTES + bytes;
  if (sizeBytes >= wantBytes) return;
  const fd = openSync(file, 'r+');
  try {
    const from = Math.max(sizeBytes, pages * PAGE_BYTES);
    writeAll(fd, Buffer.alloc(wantBytes - from), from);
  } finally {
    closeSync(fd);
  }
}

/** A write that comes out short is how a file system fills up: the next one then says so. */
function writeAll(fd: number, bytes: Buffer, at: number): void {
  for (let done = 0; done < bytes.length;) {
    done += writeSync(fd, bytes, done, bytes.length - done, at + done);
  }
}

/** The page of the last commit; the other one is of the commit before. */
export function metaOfNewest(start: Buffer): Buffer {
  return metaPages(start).reduce((a, b) => (txnOf(b) > txnOf(a) ? b : a));
}

function metaPages(start: Buffer): Buffer[] {
  return [start.subarray(0, PAGE_BYTES), start.subarray(PAGE_BYTES)];
}

function treeRecord(meta: Buffer, at: number): Buffer {
  return meta.subarray(at, at + TREE_RECORD_BYTES);
}

function txnOf(meta: Buffer): bigint {
  return meta.readBigUInt64LE(TXN_AT);
}
