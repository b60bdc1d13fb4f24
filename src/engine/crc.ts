/**
 * CRC-32 (IEEE 802.3, as zlib's). A call into zlib takes 250 ns however little it is given, which is more
 * than all else that reading a small record takes; so short ones are summed here, four bytes a step
 * ("slicing by 4": Kounavis and Berry, "A Systematic Approach to Building High Performance Software-Based
 * CRC Generators", 2005).
 */
import { crc32 } from 'node:zlib';

/** From here on zlib is faster. */
const NATIVE_BYTES = 256;
const ASCII_MAX = 0x7f;
const POLYNOMIAL = 0xedb88320;

/** `TABLES[k][b]`: what the byte `b` adds when `k` bytes follow it in the step. */
const TABLES = makeTables();
const [T0, T1, T2, T3] = TABLES;

function makeTables(): readonly [Int32Array, Int32Array, Int32Array, Int32Array] {
  const byOne = new Int32Array(256);
  for (let byte = 0; byte < 256; byte += 1) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
    byOne[byte] = crc;
  }
  const next = (table: Int32Array): Int32Array =>
    table.map((crc) => (crc >>> 8) ^ byOne[crc & 0xff]!);
  const byTwo = next(byOne);
  const byThree = next(byTwo);
  return [byOne, byTwo, byThree, next(byThree)];
}

/** Over `bytes` from `from` on, going on from `crc`, the sum of what came before. */
export function crcOf(bytes: Uint8Array, from = 0, crc = 0): number {
  const end = bytes.length;
  if (end - from >= NATIVE_BYTES) return crc32(bytes.subarray(from, end), crc);
  let sum = ~crc;
  let at = from;
  for (; at + 3 < end; at += 4) {
    sum ^= bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
    sum = T3[sum & 0xff]! ^ T2[(sum >>> 8) & 0xff]! ^ T1[(sum >>> 16) & 0xff]! ^ T0[sum >>> 24]!;
  }
  for (; at < end; at += 1) sum = T0[(sum ^ bytes[at]!) & 0xff]! ^ (sum >>> 8);
  return ~sum >>> 0;
}

/** Of a text's UTF-8. */
export function crcOfText(text: string): number {
  let sum = ~0;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code > ASCII_MAX) return crcOf(Buffer.from(text, 'utf8'));
    sum = T0[(sum ^ code) & 0xff]! ^ (sum >>> 8);
  }
  return ~sum >>> 0;
}
