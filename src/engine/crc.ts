/**
 * CRC-32 (IEEE 802.3, as zlib's). A call into zlib takes 250 ns however little it is given, which is more
 * than all else that reading a small record takes; so short ones are summed here, eight bytes a step
 * ("slicing by 8": Kounavis and Berry, "A Systematic Approach to Building High Performance Software-Based
 * CRC Generators", 2005).
 */
import { crc32 } from 'node:zlib';

/** From here on zlib is faster. */
const NATIVE_BYTES = 256;
const ASCII_MAX = 0x7f;
const POLYNOMIAL = 0xedb88320;

/** `TABLES[k][b]`: what the byte `b` adds when `k` bytes follow it in the step. */
const TABLES = makeTables();
const [T0, T1, T2, T3, T4, T5, T6, T7] = TABLES;

type Tables = readonly [
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
];

function makeTables(): Tables {
  const byOne = new Int32Array(256);
  for (let byte = 0; byte < 256; byte += 1) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
    byOne[byte] = crc;
  }
  const tables = [byOne];
  while (tables.length < 8) {
    tables.push(tables.at(-1)!.map((crc) => (crc >>> 8) ^ byOne[crc & 0xff]!));
  }
  return tables as unknown as Tables;
}

/** Over `bytes` from `from` on, going on from `crc`, the sum of what came before. */
export function crcOf(bytes: Uint8Array, from = 0, crc = 0): number {
  const end = bytes.length;
  if (end - from >= NATIVE_BYTES) return crc32(bytes.subarray(from, end), crc);
  let sum = ~crc;
  let at = from;
  for (; at + 7 < end; at += 8) {
    sum ^= bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
    sum =
      T7[sum & 0xff]! ^
      T6[(sum >>> 8) & 0xff]! ^
      T5[(sum >>> 16) & 0xff]! ^
      T4[sum >>> 24]! ^
      T3[bytes[at + 4]!]! ^
      T2[bytes[at + 5]!]! ^
      T1[bytes[at + 6]!]! ^
      T0[bytes[at + 7]!]!;
  }
  for (; at < end; at += 1) sum = T0[(sum ^ bytes[at]!) & 0xff]! ^ (sum >>> 8);
  return ~sum >>> 0;
}

/** Of a text's UTF-8. */
export function crcOfText(text: string): number {
  let sum = ~0;
  let all = 0;
  let at = 0;
  const code = (i: number): number => {
    const one = text.charCodeAt(at + i);
    all |= one;
    return one;
  };
  for (; at + 7 < text.length; at += 8) {
    sum ^= code(0) | (code(1) << 8) | (code(2) << 16) | (code(3) << 24);
    sum =
      T7[sum & 0xff]! ^
      T6[(sum >>> 8) & 0xff]! ^
      T5[(sum >>> 16) & 0xff]! ^
      T4[sum >>> 24]! ^
      T3[code(4) & 0xff]! ^
      T2[code(5) & 0xff]! ^
      T1[code(6) & 0xff]! ^
      T0[code(7) & 0xff]!;
  }
  for (; at < text.length; at += 1) sum = T0[(sum ^ code(0)) & 0xff]! ^ (sum >>> 8);
  return all > ASCII_MAX ? crcOf(Buffer.from(text, 'utf8')) : ~sum >>> 0;
}
