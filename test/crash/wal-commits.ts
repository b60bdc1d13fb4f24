/** Where each commit of an SQLite WAL ends (the format is told in src/engine/backends/sqlite-wal.ts). */

const HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 24;

/** @returns offsets, in order, as far as the frames carry the salts of the header */
export function walCommits(wal: Buffer): number[] {
  const ends: number[] = [];
  const frameBytes = FRAME_HEADER_BYTES + wal.readUInt32BE(8);
  const salts = wal.subarray(16, 24);
  for (let at = HEADER_BYTES; at + frameBytes <= wal.length; at += frameBytes) {
    if (!wal.subarray(at + 8, at + 16).equals(salts)) break;
    if (wal.readUInt32BE(at + 4) !== 0) ends.push(at + frameBytes);
  }
  return ends;
}
