/** The leases as they will be once a batch is durable, and the writes that make them so. */
import { HoldfastError } from '../base/errors.ts';
import { keyBytes } from './key.ts';
import {
  encodeGrant,
  encodeMember,
  grantKey,
  hasGrant,
  memberKey,
  readMembers,
} from './lease-record.ts';
import { LEASE_KEYS_MAX } from './limits.ts';
import type { Backend, Write } from './backend.ts';

/** A key that comes under a lease, leaves one, or both. */
export interface LeaseMove {
  readonly key: string;
  readonly from: number | undefined;
  readonly to: number | undefined;
}

export class LeaseDraft {
  readonly writes: Write[] = [];
  readonly #backend: Backend;
  /** The keys under each lease that this batch touches; undefined: it isn't there. */
  readonly #keys = new Map<number, Set<string> | undefined>();
  /** Of the batch before this one while it is not durable yet. */
  #below: LeaseDraft | undefined;

  constructor(backend: Backend, below?: LeaseDraft) {
    this.#backend = backend;
    this.#below = below;
  }

  /** The batch before this one is durable. */
  landed(): void {
    this.#below = undefined;
  }

  grant(id: number, ttlSeconds: number): void {
    const key = grantKey(id);
    this.#keys.set(id, new Set());
    this.writes.push({ table: 'meta', key, value: encodeGrant(key, ttlSeconds) });
  }

  /** In key order. @throws NotFound */
  keysOf(id: number): string[] {
    const keys = [...this.#require(id)].map((key) => ({ key, bytes: keyBytes(key) }));
    return keys.sort((a, b) => Buffer.compare(a.bytes, b.bytes)).map(({ key }) => key);
  }

  /** The keys have to be gone from it before. */
  end(id: number): void {
    this.#keys.set(id, undefined);
    this.writes.push({ table: 'meta', key: grantKey(id), value: undefined });
  }

  /** All of them or, when it throws, none. @throws NotFound, TooLarge */
  move(moves: readonly LeaseMove[]): void {
    const coming = new Map<number, number>();
    for (const { to } of moves) if (to !== undefined) coming.set(to, (coming.get(to) ?? 0) + 1);
    for (const [id, count] of coming) this.#assertRoom(id, count);
    for (const { key, from, to } of moves) {
      if (from !== undefined) {
        this.#read(from)?.delete(key);
        this.writes.push({ table: 'meta', key: memberKey(from, key), value: undefined });
      }
      if (to === undefined) continue;
      const member = memberKey(to, key);
      this.#read(to)?.add(key);
      this.writes.push({ table: 'meta', key: member, value: encodeMember(member) });
    }
  }

  #assertRoom(id: number, coming: number): void {
    const { size } = this.#require(id);
    if (size + coming <= LEASE_KEYS_MAX) return;
    throw new HoldfastError(
      'TooLarge',
      `lease ${id} has ${size} keys and would get ${coming} more, ${LEASE_KEYS_MAX} are allowed`,
      { hint: 'put some of them under another lease' },
    );
  }

  #require(id: number): Set<string> {
    const keys = this.#read(id);
    if (!keys) throw leaseNotFound(id);
    return keys;
  }

  #read(id: number): Set<string> | undefined {
    if (!this.#keys.has(id)) this.#keys.set(id, this.#readUnder(id));
    return this.#keys.get(id);
  }

  #readUnder(id: number): Set<string> | undefined {
    const below = this.#below && this.#below.#keys;
    if (below?.has(id)) {
      const keys = below.get(id);
      return keys && new Set(keys);
    }
    return hasGrant(this.#backend, id) ? new Set(readMembers(this.#backend, id)) : undefined;
  }
}

export function leaseNotFound(id: number): HoldfastError {
  return new HoldfastError('NotFound', `lease ${id} has ended or was never granted`, {
    hint: 'grant a new one and put its keys again',
  });
}
