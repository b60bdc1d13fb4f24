/**
 * The values of the crash tests. Each follows from its key and its serial, so an acknowledgement needs
 * only the serial, and any value found later proves by itself that it is whole and belongs to its key.
 */
import { crc32 } from 'node:zlib';
import { KiB } from '../../src/base/bytes.ts';

export function valueOf(key: string, serial: string): Uint8Array {
  const head = `${key} ${serial} `;
  const hash = crc32(head);
  const sizes = [100, 100, 100, 100, 100, 1000, 1000, 4 * KiB, 9 * KiB, 40 * KiB];
  const value = Buffer.alloc(head.length + (hash % sizes[hash % sizes.length]!), `${hash} `);
  value.write(head);
  return value;
}

/** The serial of a value, undefined when it is not exactly what was written for `key`. */
export function serialOf(key: string, value: Uint8Array): string | undefined {
  const start = Buffer.from(value.buffer, value.byteOffset, Math.min(value.length, 200)).toString();
  const serial = start.split(' ', 2)[1];
  if (serial === undefined || Buffer.compare(valueOf(key, serial), value) !== 0) return undefined;
  return serial;
}
