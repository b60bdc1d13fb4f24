/** The lease records of `meta`; their layout is in log.ts. */
import { keyBytes, keyText } from './key.ts';
import { checkSeal, corrupt, readU64, seal, writeU64 } from './log.ts';
import { LEASE_KEYS_MAX, LEASE_TTL_SECONDS_MAX, LEASE_TTL_SECONDS_MIN } from './limits.ts';
import type { Backend } from './backend.ts';

const GRANT = Buffer.from('lease:', 'ascii');
/** `;` follows `:`. */
const GRANTS_END = Buffer.from('lease;', 'ascii');
const GRANT_BYTES = 8;
const MEMBER = Buffer.from('leasekey:', 'ascii');
const MEMBER_BYTES = 4;
const ID_BYTES = 8;

function idKey(prefix: Buffer, id: number, rest: Buffer = Buffer.alloc(0)): Buffer {
  const key = Buffer.alloc(prefix.length + ID_BYTES + rest.length);
  prefix.copy(key);
  writeU64(key, id, prefix.length);
  rest.copy(key, prefix.length + ID_BYTES);
  return key;
}

/** The key of a lease's own record. */
export function grantKey(id: number): Buffer {
  return idKey(GRANT, id);
}

export function encodeGrant(key: Buffer, ttlSeconds: number): Buffer {
  const record = Buffer.alloc(GRANT_BYTES);
  record.writeUInt32BE(ttlSeconds, 4);
  return seal(key, record);
}

/** The key of the record that says that `key` is under the lease. */
export function memberKey(id: number, key: string): Buffer {
  return idKey(MEMBER, id, keyBytes(key));
}

export function encodeMember(key: Buffer): Buffer {
  return seal(key, Buffer.alloc(MEMBER_BYTES));
}

/** The lease that a record of `meta` is about, with the key under it for a "leasekey:" one. */
export function leaseOf(record: Uint8Array): { id: number; key?: string } | undefined {
  const bytes = Buffer.from(record);
  const prefix = [GRANT, MEMBER].find((start) => bytes.subarray(0, start.length).equals(start));
  if (!prefix || bytes.length < prefix.length + ID_BYTES) return undefined;
  const id = readU64(bytes, prefix.length);
  return prefix === GRANT ? { id } : { id, key: keyText(bytes.subarray(prefix.length + ID_BYTES)) };
}

/** ttlSeconds of every lease. @throws Corrupt */
export function readGrants(backend: Backend): Map<number, number> {
  const grants = new Map<number, number>();
  const entries = backend.range({
    table: 'meta',
    from: GRANT,
    before: GRANTS_END,
    limit: Number.MAX_SAFE_INTEGER,
    bytesMax: Infinity,
  });
  for (const { key, value } of entries) {
    grants.set(readU64(Buffer.from(key), GRANT.length), decodeGrant(key, value));
  }
  return grants;
}

export function hasGrant(backend: Backend, id: number): boolean {
  const key = grantKey(id);
  const value = backend.get('meta', key);
  if (value) decodeGrant(key, value);
  return value !== undefined;
}

function decodeGrant(key: Uint8Array, value: Uint8Array): number {
  const ttlSeconds = checkSeal('a lease record', key, value, GRANT_BYTES).readUInt32BE(4);
  if (ttlSeconds < LEASE_TTL_SECONDS_MIN || ttlSeconds > LEASE_TTL_SECONDS_MAX) {
    throw corrupt(`a lease record has a time to live of ${ttlSeconds} s`);
  }
  return ttlSeconds;
}

/** The keys under the lease, in key order. @throws Corrupt */
export function readMembers(backend: Backend, id: number): string[] {
  const from = idKey(MEMBER, id);
  const entries = backend.range({
    table: 'meta',
    from,
    before: idKey(MEMBER, id + 1),
    limit: LEASE_KEYS_MAX,
    bytesMax: Infinity,
  });
  return entries.map(({ key, value }) => {
    checkMember(key, value);
    return keyText(key.subarray(from.length));
  });
}

/** @throws Corrupt */
export function checkMember(key: Uint8Array, value: Uint8Array): void {
  checkSeal('a record of a key under a lease', key, value, MEMBER_BYTES);
}
