/**
 * The contract of the local truth. Everything above the engine sees this interface only.
 *
 * - Keys are `/`-separated UTF-8 text of 1..1024 bytes; a leading `/` is the same key; no empty
 *   segment, no NUL. A *prefix* is a path prefix: `foo` covers `foo/x`, never `foobar`; `''` covers all.
 * - Values are any bytes, 0..1 MiB.
 * - One revision counter: each transaction that changes anything takes the next revision, and all its
 *   changes carry it. A revision is never used twice within one incarnation, across any crash.
 * - A promise of a write resolves only when the write is durable (after the sync, never before), and
 *   no read or watch shows a write before that.
 */

export interface KeyValue {
  readonly key: string;
  readonly value: Uint8Array;
  /** Revision at which the key came into being (again). */
  readonly createRevision: number;
  /** Revision of the last put. Compare-and-swap compares this. */
  readonly modRevision: number;
  /** Puts since creation, from 1. */
  readonly version: number;
  /** The lease it ends with. Absent: it stays until it is deleted. */
  readonly lease?: number | undefined;
}

export type Op =
  | {
      readonly type: 'put';
      readonly key: string;
      readonly value: Uint8Array;
      /** The lease the key is put under; without one it leaves the lease it was under. */
      readonly lease?: number | undefined;
    }
  | { readonly type: 'delete'; readonly key: string };

/** Holds when the key's modRevision is exactly this; 0 = the key must not exist. */
export interface Condition {
  readonly key: string;
  readonly modRevision: number;
}

/** One change. For a delete, `kv` holds the key and the delete's own revision as modRevision; its value is empty. */
export interface Change {
  readonly type: 'put' | 'delete';
  readonly kv: KeyValue;
}

/** All changes of one revision (under the watched prefix), never split. */
export interface ChangeSet {
  readonly revision: number;
  readonly changes: readonly Change[];
}

export interface ListOptions {
  /** Start after this key (for paging). */
  readonly after?: string | undefined;
  /** At most this many; default all. */
  readonly limit?: number | undefined;
}

export interface ListResult {
  readonly kvs: readonly KeyValue[];
  /** The revision at which this was true. */
  readonly revision: number;
  /** True when `limit` cut the answer. */
  readonly more: boolean;
}

export interface WriteOptions {
  /** Compare-and-swap: the modRevision the key must have; 0 = it must not exist. */
  readonly ifRevision?: number | undefined;
}

export interface PutOptions extends WriteOptions {
  /** Puts the key under this lease; without it the key leaves the lease it was under. */
  readonly lease?: number | undefined;
}

export interface WatchOptions {
  /** First revision to see, history included; default: the next one. */
  readonly from?: number | undefined;
  readonly signal: AbortSignal;
}

export interface EngineStats {
  readonly backend: string;
  readonly path: string;
  readonly revision: number;
  /** Revisions at or below this are gone from the change log. */
  readonly compactedRevision: number;
  readonly keys: number;
  readonly logEntries: number;
  readonly sizeBytes: number;
}

export interface LeaseStatus {
  readonly id: number;
  readonly ttlSeconds: number;
  /** Until it ends if nobody keeps it alive; 0 when it has ended and its keys wait for a disk that takes the write. */
  readonly remainingMs: number;
}

/** Leases: keys that end with their holder (lease.ts). An id is random and never given twice. */
export interface Leases {
  /**
   * @param ttlSeconds a whole number from 1 up to a week
   * @returns the id, once the lease is durable; its time begins then. @throws InvalidArgument, Unavailable (too many), NoSpace
   */
  grant(ttlSeconds: number): Promise<number>;
  /** Begins its time anew; writes nothing. @returns its ttlSeconds. @throws NotFound when it has ended: for good */
  keepAlive(id: number): Promise<number>;
  /** Ends it now. @returns the one revision that deleted its keys, undefined when it had none. @throws NotFound, NoSpace */
  revoke(id: number): Promise<number | undefined>;
  /** Its keys too, in key order. @throws NotFound */
  timeToLive(id: number): Promise<LeaseStatus & { readonly keys: readonly string[] }>;
  /** All of them, in the order of their ids. */
  list(): Promise<readonly LeaseStatus[]>;
}

export interface Engine {
  /** Minted when the store was created; a restored store gets a new one. */
  readonly incarnation: string;
  /** The last durable revision; 0 in an empty store. */
  readonly revision: number;
  readonly leases: Leases;

  get(key: string): Promise<KeyValue | undefined>;
  /** Key order; the prefix itself is not in it. */
  list(prefix: string, options?: ListOptions): Promise<ListResult>;
  /**
   * @returns the revision of this write.
   * @throws KeyModified, KeyExists (ifRevision 0), NotFound (the lease), InvalidArgument, TooLarge, NoSpace
   */
  put(key: string, value: Uint8Array, options?: PutOptions): Promise<number>;
  /** @returns the revision, or undefined when there was nothing to delete (no error, no revision). @throws KeyModified */
  delete(key: string, options?: WriteOptions): Promise<number | undefined>;
  /**
   * All of `ops` if all of `conditions` hold, as one revision; no key twice.
   * @returns the revision (unchanged if no op changed anything). @throws KeyModified naming the first key that failed, NotFound (a lease)
   */
  txn(conditions: readonly Condition[], ops: readonly Op[]): Promise<number>;
  /**
   * Every change under `prefix`, in order, each exactly once, until the signal aborts (then it just ends).
   * A slow reader is caught up from the log, it never grows the heap.
   * @throws Compacted when `from` (or where a slow reader stands) is gone from the log
   */
  watch(prefix: string, options: WatchOptions): AsyncIterable<ChangeSet>;
  /** The log after `revision`, at most `limit` revisions. @throws Compacted */
  changes(afterRevision: number, limit: number): Promise<readonly ChangeSet[]>;
  /** Drops log entries at or below `revision`, in bounded steps. Current values stay. */
  compact(revision: number): Promise<void>;
  stats(): Promise<EngineStats>;
  close(): Promise<void>;
}
