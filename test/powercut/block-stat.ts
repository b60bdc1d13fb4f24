import { readFileSync } from 'node:fs';
import path from 'node:path';

/** What the kernel sent to a block device since it came into being (Documentation/block/stat.rst). */
export interface BlockStat {
  /** Units of 512 bytes, whatever the device's sectors are. */
  readonly writtenBytes: number;
  /** Cache flushes: what fdatasync(2) ends with. */
  readonly flushes: number;
}

/** @param device e.g. `/dev/loop1` */
export function blockStat(device: string): BlockStat {
  const text = readFileSync(`/sys/block/${path.basename(device)}/stat`, 'utf8');
  const fields = text.trim().split(/\s+/).map(Number);
  return { writtenBytes: fields[6]! * 512, flushes: fields[15]! };
}
