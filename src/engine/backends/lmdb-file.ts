/**
 * Looks at an LMDB file before LMDB does: it maps the file, so a page beyond the end kills the process
 * with SIGBUS instead of giving an error.
 *
 * The first two pages are the meta pages: a page header, then MDB_meta (mdb.c): magic u32, version u32,
 * address u64, map size u64, two MDB_db of 48 bytes (the first one's pad is the page size), last page
 * u64, transaction u64, in the byte order of the host (all that Holdfast runs on are little-endian).
 * "The file may be shorter if the freeDB lists the final pages" (mdb.c): a short file is then read
 * through in a child process, which may die of it.
 */
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { notOurs, readStart, truncated } from './store-file.ts';

const PAGE_BYTES = 4096;
const META_AT = 24;
const META_MAGIC = 0xbeefc0de;
const PAGE_SIZE_AT = META_AT + 24;
const LAST_PAGE_AT = META_AT + 120;
const TXN_AT = META_AT + 128;
/** A full read of a 1 GiB store takes ~3 s on a slow disk's cache; ten times that is a hang. */
const PROBE_TIMEOUT_MS = 30_000;

/** @throws StateMismatch, Corrupt */
export function checkLmdbFile(file: string): void {
  const { start, sizeBytes } = readStart(file, 2 * PAGE_BYTES);
  if (start.length < 2 * PAGE_BYTES) throw truncated(file, sizeBytes, 2 * PAGE_BYTES);
  const metas = [start.subarray(0, PAGE_BYTES), start.subarray(PAGE_BYTES)];
  if (metas.some((meta) => meta.readUInt32LE(META_AT) !== META_MAGIC)) {
    throw notOurs(file, 'no LMDB header');
  }
  const newest = metas.reduce((a, b) => (txnOf(b) > txnOf(a) ? b : a));
  const pageBytes = newest.readUInt32LE(PAGE_SIZE_AT);
  if (pageBytes !== PAGE_BYTES) {
    throw notOurs(file, `its pages are ${pageBytes} bytes, ours ${PAGE_BYTES}`);
  }
  const wantBytes = (Number(newest.readBigUInt64LE(LAST_PAGE_AT)) + 1) * PAGE_BYTES;
  if (sizeBytes < wantBytes && !isReadable(file)) throw truncated(file, sizeBytes, wantBytes);
}

function txnOf(meta: Buffer): bigint {
  return meta.readBigUInt64LE(TXN_AT);
}

const PROBE = `
  const { open } = require(process.argv[1]);
  const options = { encoding: 'binary', keyEncoding: 'binary' };
  const root = open({ path: process.argv[2], noSubdir: true, readOnly: true, ...options });
  for (const name of ['kv', 'log', 'meta']) {
    for (const entry of root.openDB({ name, ...options }).getRange()) entry.value.at(-1);
  }
`;

function isReadable(file: string): boolean {
  const lmdb = createRequire(import.meta.url).resolve('lmdb');
  const probe = spawnSync(process.execPath, ['-e', PROBE, lmdb, file], {
    timeout: PROBE_TIMEOUT_MS,
    stdio: 'ignore',
  });
  return probe.status === 0;
}
