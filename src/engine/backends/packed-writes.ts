/**
 * The writes of one commit in one block of memory, so that handing them to another thread copies nothing:
 * for each write: table u8 | kind u8 (0 delete, 1 put) | keyLength u16 | valueLength u32 | key | value.
 */
import type { Table, Write } from '../backend.ts';

const TABLES: readonly Table[] = ['kv', 'log', 'meta'];
const HEADER_BYTES = 8;
const DELETE = 0;
const PUT = 1;

export function packWrites(writes: readonly Write[]): ArrayBuffer {
  let bytes = 0;
  for (const { key, value } of writes) bytes += HEADER_BYTES + key.length + (value?.length ?? 0);
  const packed = new ArrayBuffer(bytes);
  const buffer = Buffer.from(packed);
  let at = 0;
  for (const { table, key, value } of writes) {
    buffer[at] = TABLES.indexOf(table);
    buffer[at + 1] = value ? PUT : DELETE;
    buffer.writeUInt16BE(key.length, at + 2);
    buffer.writeUInt32BE(value?.length ?? 0, at + 4);
    at += HEADER_BYTES;
    buffer.set(key, at);
    at += key.length;
    if (!value) continue;
    buffer.set(value, at);
    at += value.length;
  }
  return packed;
}

/** Keys and values lie in `packed`. */
export function unpackWrites(packed: ArrayBuffer): Write[] {
  const buffer = Buffer.from(packed);
  const writes: Write[] = [];
  for (let at = 0; at < buffer.length;) {
    const keyAt = at + HEADER_BYTES;
    const valueAt = keyAt + buffer.readUInt16BE(at + 2);
    const end = valueAt + buffer.readUInt32BE(at + 4);
    writes.push({
      table: TABLES[buffer[at]!]!,
      key: buffer.subarray(keyAt, valueAt),
      value: buffer[at + 1] === PUT ? buffer.subarray(valueAt, end) : undefined,
    });
    at = end;
  }
  return writes;
}
