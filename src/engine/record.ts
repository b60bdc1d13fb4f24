/** The records of `kv` and `meta`; their layout is in log.ts. */
import { HoldfastError } from '../base/errors.ts';
import { isUuid } from '../base/ids.ts';
import {
  checkSeal,
  copyOf,
  corrupt,
  leaseBytes,
  plain,
  readU64,
  readVersion,
  seal,
  writeU64,
  writeVersion,
} from './log.ts';
import { asBuffer, keyText } from './key.ts';
import type { LoggedChange, LoggedSet } from './log.ts';
import type { Change, ChangeSet, KeyValue } from './engine.ts';

export const FORMAT = 3;

const MAGIC = Buffer.from('HFENGINE', 'ascii');
const CRC_AT = 12;
const INCARNATION_AT = 16;
const INCARNATION_BYTES = 36;
const KV_HEADER_BYTES = 28;
const HEAD_BYTES = 36;

export const IDENTITY_KEY = Buffer.from('identity', 'ascii');
export const HEAD_KEY = Buffer.from('head', 'ascii');

/** Where the store stands; written with every batch. */
export interface StoredHead {
  readonly revision: number;
  /** Log records at or below this are gone. */
  readonly compacted: number;
  readonly keys: number;
  readonly logBytes: number;
}

export interface Head extends StoredHead {
  /** The store's format. It is in the identity record, but comes along: the first commit raises it. */
  readonly format: number;
}

export const EMPTY_HEAD: StoredHead = { revision: 0, compacted: 0, keys: 0, logBytes: 0 };

export function encodeIdentity(incarnation: string): Buffer {
  const record = Buffer.alloc(INCARNATION_AT + INCARNATION_BYTES);
  MAGIC.copy(record);
  record.writeUInt32BE(FORMAT, MAGIC.length);
  record.write(incarnation, INCARNATION_AT, 'ascii');
  return seal(IDENTITY_KEY, record, CRC_AT);
}

/** @returns the incarnation. @throws StateMismatch for a newer format, Corrupt */
export function decodeIdentity(value: Uint8Array | undefined): string {
  if (!value) throw corrupt('it has no identity record');
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.length);
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC) || bytes.length < CRC_AT) {
    throw corrupt('its identity record is not one of ours');
  }
  const format = bytes.readUInt32BE(MAGIC.length);
  if (format > FORMAT) {
    throw new HoldfastError(
      'StateMismatch',
      `the store has format ${format}, this version of Holdfast reads up to ${FORMAT}`,
      { hint: 'run the Holdfast version that wrote it, or a newer one' },
    );
  }
  checkSeal('the identity record', IDENTITY_KEY, value, INCARNATION_AT, CRC_AT);
  const incarnation = bytes.toString('ascii', INCARNATION_AT);
  if (!isUuid(incarnation)) throw corrupt(`its incarnation ${incarnation} is not a UUID`);
  return incarnation;
}

/** Of an identity record that was read before. */
export function formatOf(identity: Uint8Array): number {
  return Buffer.from(identity.buffer, identity.byteOffset).readUInt32BE(MAGIC.length);
}

export function encodeHead(head: StoredHead): Buffer {
  const record = Buffer.allocUnsafe(HEAD_BYTES);
  writeU64(record, head.revision, 4);
  writeU64(record, head.compacted, 12);
  writeU64(record, head.keys, 20);
  writeU64(record, head.logBytes, 28);
  return seal(HEAD_KEY, record);
}

/** @throws Corrupt */
export function decodeHead(value: Uint8Array | undefined): StoredHead {
  if (!value) throw corrupt('it has no head record');
  const record = checkSeal('the head record', HEAD_KEY, value, HEAD_BYTES);
  return {
    revision: readU64(record, 4),
    compacted: readU64(record, 12),
    keys: readU64(record, 20),
    logBytes: readU64(record, 28),
  };
}

/** A record of kv with what it says. */
export interface Stored {
  readonly kv: KeyValue;
  readonly record: Uint8Array;
}

export function encodeKeyValue(key: Uint8Array, kv: KeyValue): Buffer {
  const record = Buffer.allocUnsafe(KV_HEADER_BYTES + leaseBytes(kv) + kv.value.length);
  writeU64(record, kv.createRevision, 4);
  writeU64(record, kv.modRevision, 12);
  record.set(kv.value, writeVersion(record, kv, 20));
  return seal(key, record);
}

/** @param lent whether `value` is somebody else's, so that what is kept of it has to be copied. @throws Corrupt */
export function decodeKeyValue(
  key: Uint8Array | string,
  value: Uint8Array,
  lent = false,
): KeyValue {
  const text = typeof key === 'string' ? key : keyText(key);
  const where = (): string => `key ${JSON.stringify(text)}`;
  return parseKeyValue(text, checkSeal(where, key, value, KV_HEADER_BYTES), lent);
}

/** A record whose checksum was looked at before, or that lies within a record whose was. */
export function parseKeyValue(key: string, record: Buffer, lent = false): KeyValue {
  const { version, lease, end } = readVersion(record, 20);
  const value = lent ? copyOf(record, end, record.length) : plain(record, end, record.length);
  const createRevision = readU64(record, 4);
  const modRevision = readU64(record, 12);
  // Spelt out twice: spreading a lease that may be there takes as long as all the rest.
  return lease === undefined
    ? { key, value, createRevision, modRevision, version }
    : { key, value, createRevision, modRevision, version, lease };
}

/** What was there before a change; undefined when nothing was, or when that isn't known. */
export function previousOf({ change, previous }: LoggedChange): KeyValue | undefined {
  return previous && parseKeyValue(change.kv.key, asBuffer(previous));
}

/** A change as a watch gives it. */
export function shownChange(logged: LoggedChange, previousValues: boolean): Change {
  if (!previousValues || !logged.previous) return logged.change;
  return { ...logged.change, previous: previousOf(logged) };
}

/** A log record as `changes` gives it. */
export function shownSet({ revision, changes }: LoggedSet): ChangeSet {
  return { revision, changes: changes.map(({ change }) => change) };
}
