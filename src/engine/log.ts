/**
 * FORMAT (version 3)
 *
 * A store is three ordered tables of bytes, `kv`, `log` and `meta`, in one file of the backend. All
 * numbers are big-endian and unsigned; u64 numbers stay below 2^53. `crc` is CRC-32 (IEEE 802.3, as in
 * zlib) over the record's key followed by everything after the crc.
 *
 *   meta "identity"   "HFENGINE" | format u32 | crc u32 | incarnation, 36 bytes of ASCII (a UUID)
 *   meta "head"       crc u32 | revision u64 | compacted u64 | keys u64 | logBytes u64
 *   meta "lease:" id u64            crc u32 | ttlSeconds u32
 *   meta "leasekey:" id u64 <key>   crc u32
 *   meta "ceiling"    crc u32 | revision u64
 *   meta "mark:" revision u64       crc u32 | runMs u64 | madeMs u64
 *   kv   <key>        crc u32 | createRevision u64 | modRevision u64 | version u64 [| lease u64] | value
 *   log  <revision>   crc u32 | count u32 | count times:
 *                       type u8 (1 put, 2 delete) | keyLength u32 | valueLength u32
 *                       | createRevision u64 | version u64 [| lease u64] | key | value
 *                       [| previousLength u32 | previous]
 *
 * The key of a log record is its revision as u64. `keys` counts the records of kv; `logBytes` sums the
 * value lengths of the log. For a delete, createRevision and version are 0 and the value is empty.
 * The highest bit of a version says that a lease follows; it is no part of the number. There is one
 * "leasekey:" record for each kv record with a lease, and one "lease:" record for each lease.
 * A "mark:" record says at which running time of the store a revision was written, and when that was noted
 * (retention.ts). There are few; a store without is whole, the ages of its log are not known then.
 * "HFENGINE" and the format number never move, so that any version can refuse a newer one.
 *
 * The highest bit of a type says that the key's record before the change follows: `previous` is the record
 * of kv as it was, its crc included. A put of version 1 made its key: there was none. A later put, or a
 * delete, without it doesn't know any more: an older format wrote it, or it was left out because the
 * previous records of one revision would be over PREVIOUS_BYTES_MAX (limits.ts). A key is in a log record
 * once.
 *
 * "ceiling" is there while relaxed writes may be lost (relaxed.ts): no revision above it was handed out.
 *
 * Format 1 knew no leases, format 2 no previous records. A store of either is read as it is, and becomes
 * format 3 in the first commit after that: the older program refuses it then. Nothing of it is converted:
 * each change of the log says itself whether it knows what was before.
 *
 * WRITE
 *
 * One backend transaction carries a batch: for each of its transactions one log record, for each key
 * the final kv record (or its removal), and the head. Compaction removes log records from the low end
 * and raises head.compacted in the same transaction. Nothing is ever written outside of one, hence a
 * value without its log entry, or the reverse, cannot exist.
 *
 * READ
 *
 * Current values come from kv; history is the log from compacted + 1 to revision, without a gap. Each
 * record's crc is checked when it is read; a mismatch is `Corrupt`, naming table and key.
 *
 * The state at an older revision R, not below compacted, is that of now undone by the log after R: a key
 * that was changed since is what the first of those changes says was before it, each other key is what it is
 * now. Where that change doesn't know, the state of its key at R is gone (`Compacted`). `previous` lies
 * within the crc of its log record; its own is looked at by `check.ts` only.
 *
 * RECOVERY
 *
 * The backend brings back the last synced transaction. Then `recover.ts` checks: identity present and
 * of our format, head present, log records at compacted + 1 and at revision present and whole (if there
 * are any), none beyond revision. The next revision is head.revision + 1, so that none is used twice.
 * Is there a ceiling above the last revision, that becomes the last one, and the log is emptied first.
 * A store is made aside under another name and renamed when complete: one that lacks its identity was
 * damaged, it is never just young.
 */
import { HoldfastError } from '../base/errors.ts';
import { crcOf, crcOfText } from './crc.ts';
import { asBuffer, keyText } from './key.ts';
import type { Change, KeyValue } from './engine.ts';

/** A change as it is logged. */
export interface LoggedChange {
  readonly change: Change;
  /** The key's record before, as it was in kv; undefined: there was none, or it isn't known (knowsBefore). */
  readonly previous: Uint8Array | undefined;
}

/** What one log record holds. */
export interface LoggedSet {
  readonly revision: number;
  readonly changes: readonly LoggedChange[];
}

const LEASE_BYTES = 8;
/** In the first byte of a version. */
const LEASED_BIT = 0x80;
/** In the type of a change. */
const PREVIOUS_BIT = 0x80;
const PREVIOUS_LENGTH_BYTES = 4;

const TYPE_PUT = 1;
const TYPE_DELETE = 2;
const CHANGE_HEADER_BYTES = 25;
const RECORD_HEADER_BYTES = 8;

/** Numbers below 2^53 as u64: Node's BigInt accessors cost five times as much. */
export function writeU64(bytes: Buffer, value: number, at: number): void {
  bytes.writeUInt32BE(Math.floor(value / 0x1_0000_0000), at);
  bytes.writeUInt32BE(value >>> 0, at + 4);
}

export function readU64(bytes: Buffer, at: number): number {
  return bytes.readUInt32BE(at) * 0x1_0000_0000 + bytes.readUInt32BE(at + 4);
}

/** Bytes that `kv`'s lease takes after its version. */
export function leaseBytes(kv: KeyValue): number {
  return kv.lease === undefined ? 0 : LEASE_BYTES;
}

/** @returns where the record goes on */
export function writeVersion(bytes: Buffer, { version, lease }: KeyValue, at: number): number {
  writeU64(bytes, version, at);
  if (lease === undefined) return at + 8;
  bytes[at]! |= LEASED_BIT;
  writeU64(bytes, lease, at + 8);
  return at + 8 + LEASE_BYTES;
}

/** The version at `at`, the lease if there is one, and where the record goes on. */
export function readVersion(
  bytes: Buffer,
  at: number,
): { readonly version: number; readonly lease: number | undefined; readonly end: number } {
  if ((bytes[at]! & LEASED_BIT) === 0) {
    return { version: readU64(bytes, at), lease: undefined, end: at + 8 };
  }
  const high = bytes.readUInt32BE(at) & 0x7fff_ffff;
  const version = high * 0x1_0000_0000 + bytes.readUInt32BE(at + 4);
  return { version, lease: readU64(bytes, at + 8), end: at + 8 + LEASE_BYTES };
}

/** Puts the crc over `key` and what follows the crc at `at`. */
export function seal(key: Uint8Array, record: Buffer, at = 0): Buffer {
  record.writeUInt32BE(crcOf(record, at + 4, crcOf(key)), at);
  return record;
}

/** @throws Corrupt when the record is shorter than `bytesMin` or its crc does not match */
export function checkSeal(
  where: string | (() => string),
  key: Uint8Array | string,
  value: Uint8Array,
  bytesMin: number,
  at = 0,
): Buffer {
  const record = asBuffer(value);
  if (record.length < bytesMin) {
    const length = `${record.length} bytes long, at least ${bytesMin} belong there`;
    throw corrupt(`${textOf(where)} is ${length}`);
  }
  const want = record.readUInt32BE(at);
  const ofKey = typeof key === 'string' ? crcOfText(key) : crcOf(key);
  const have = crcOf(record, at + 4, ofKey);
  if (want !== have) {
    throw corrupt(`${textOf(where)} has checksum ${hex(have)}, its record says ${hex(want)}`);
  }
  return record;
}

/** Only a damaged record has to be named: writing out the name of each one read costs as much as its crc. */
function textOf(where: string | (() => string)): string {
  return typeof where === 'string' ? where : where();
}

export function corrupt(message: string): HoldfastError {
  return new HoldfastError('Corrupt', `the store is damaged: ${message}`, {
    hint: 'keep a copy of the engine folder, then restore it from a backup or remove it to start empty',
  });
}

function hex(crc: number): string {
  return crc.toString(16).padStart(8, '0');
}

export function logKey(revision: number): Buffer {
  const key = Buffer.allocUnsafe(8);
  writeU64(key, revision, 0);
  return key;
}

/** Whether what was before the change can be told: by `previous`, or because nothing was. */
export function knowsBefore({ change, previous }: LoggedChange): boolean {
  return previous !== undefined || (change.type === 'put' && change.kv.version === 1);
}

/** One log record: all changes of one revision, with the record's key. */
export function encodeLogRecord(set: LoggedSet): { key: Buffer; value: Buffer } {
  let length = RECORD_HEADER_BYTES;
  for (const { change, previous } of set.changes) {
    const { key, value } = change.kv;
    length += CHANGE_HEADER_BYTES + leaseBytes(change.kv) + Buffer.byteLength(key) + value.length;
    if (previous) length += PREVIOUS_LENGTH_BYTES + previous.length;
  }
  const value = Buffer.allocUnsafe(length);
  value.writeUInt32BE(set.changes.length, 4);
  let at = RECORD_HEADER_BYTES;
  for (const logged of set.changes) {
    at = writeChange(value, at, logged);
  }
  const key = logKey(set.revision);
  return { key, value: seal(key, value) };
}

function writeChange(record: Buffer, start: number, logged: LoggedChange): number {
  const { change, previous } = logged;
  const deleted = change.type === 'delete';
  const type = deleted ? TYPE_DELETE : TYPE_PUT;
  record.writeUInt8(previous ? type | PREVIOUS_BIT : type, start);
  record.writeUInt32BE(change.kv.value.length, start + 5);
  writeU64(record, deleted ? 0 : change.kv.createRevision, start + 9);
  const at = writeVersion(record, change.kv, start + 17);
  const keyLength = record.write(change.kv.key, at);
  record.writeUInt32BE(keyLength, start + 1);
  record.set(change.kv.value, at + keyLength);
  const end = at + keyLength + change.kv.value.length;
  if (!previous) return end;
  record.writeUInt32BE(previous.length, end);
  record.set(previous, end + PREVIOUS_LENGTH_BYTES);
  return end + PREVIOUS_LENGTH_BYTES + previous.length;
}

/** @throws Corrupt */
export function decodeLogRecord(key: Uint8Array, value: Uint8Array): LoggedSet {
  const revision = readU64(asBuffer(key), 0);
  const where = (): string => `log record ${revision}`;
  const record = checkSeal(where, key, value, RECORD_HEADER_BYTES);
  const count = record.readUInt32BE(4);
  const changes: LoggedChange[] = [];
  let at = RECORD_HEADER_BYTES;
  for (let i = 0; i < count; i += 1) {
    const { version, lease, end } = readVersion(record, at + 17);
    const keyEnd = end + record.readUInt32BE(at + 1);
    const valueEnd = keyEnd + record.readUInt32BE(at + 5);
    const type = record.readUInt8(at);
    const change: Change = {
      type: (type & ~PREVIOUS_BIT) === TYPE_PUT ? 'put' : 'delete',
      kv: {
        key: keyText(record.subarray(end, keyEnd)),
        value: plain(record, keyEnd, valueEnd),
        createRevision: readU64(record, at + 9),
        modRevision: revision,
        version,
        ...(lease === undefined ? {} : { lease }),
      },
    };
    let previous: Uint8Array | undefined;
    at = valueEnd;
    if ((type & PREVIOUS_BIT) !== 0) {
      const start = valueEnd + PREVIOUS_LENGTH_BYTES;
      at = start + record.readUInt32BE(valueEnd);
      previous = plain(record, start, at);
    }
    changes.push({ change, previous });
  }
  if (at !== record.length) throw corrupt(`log record ${revision} ends early`);
  return { revision, changes };
}

/** A Uint8Array over the same memory: callers see one type, whatever the backend hands out. */
export function plain(record: Buffer, from: number, to: number): Uint8Array {
  return new Uint8Array(record.buffer, record.byteOffset + from, to - from);
}

/** As many bytes are copied into one block: an ArrayBuffer for each value costs more than reading it. */
const BLOCK_BYTES = 64 * 1024;
let block = new Uint8Array(BLOCK_BYTES);
let blockUsed = 0;

/** The same bytes, in memory of our own. */
export function copyOf(record: Buffer, from: number, to: number): Uint8Array {
  const bytes = record.subarray(from, to);
  if (bytes.length > BLOCK_BYTES / 16) return new Uint8Array(bytes);
  if (blockUsed + bytes.length > BLOCK_BYTES) {
    block = new Uint8Array(BLOCK_BYTES);
    blockUsed = 0;
  }
  const copy = new Uint8Array(block.buffer, blockUsed, bytes.length);
  copy.set(bytes);
  blockUsed += bytes.length;
  return copy;
}
