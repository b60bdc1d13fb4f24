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

import type { Transaction, TransactionResult } from './transaction.ts';

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

/**
 * Some of the keys: one; all under a path prefix (`''`: all there are; the prefix itself is not under it); or
 * all from `from` up to `before`, in the order of their bytes, `before` not included (absent: to the end).
 * The two bounds are text like keys, but may be empty, end with a `/`, have empty segments, and go on with a
 * NUL: `{ from: `${key}\0` }` begins after `key`.
 */
export type Span =
  | { readonly key: string }
  | { readonly prefix: string }
  | { readonly from: string; readonly before?: string | undefined };

/** The common operations: `txn` takes these, `transact` takes more. */
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
  /**
   * What was there before, for a watch that asked for it. Absent when the put made the key; also where the
   * log doesn't hold it: written by an older Holdfast, or larger than a log record takes (PREVIOUS_BYTES_MAX).
   */
  readonly previous?: KeyValue | undefined;
}

/** All changes of one revision (within what is watched), never split. None at all: a watch's progress. */
export interface ChangeSet {
  readonly revision: number;
  readonly changes: readonly Change[];
}

export interface GetOptions {
  /** As of this revision, from the compacted one to the last; default: now. See `Engine.list` for its cost. */
  readonly revision?: number | undefined;
}

export interface ListOptions extends GetOptions {
  /** Start after this key (for paging). */
  readonly after?: string | undefined;
  /** At most this many; default all. */
  readonly limit?: number | undefined;
  /** Ends after so many bytes of values, never before the first key; default: no bound. */
  readonly bytesMax?: number | undefined;
}

export interface ListResult {
  readonly kvs: readonly KeyValue[];
  /** The revision at which this was true. */
  readonly revision: number;
  /** True when `limit` cut the answer; when `bytesMax` did, there may be more. */
  readonly more: boolean;
}

/**
 * `commit`: answered when it is on the disk. Relaxed: answered before, synced at most so many ms later (a whole
 * number from 1 to RELAXED_MS_MAX). A relaxed write survives the end of the process; a power cut may take the
 * last ones, and then revisions go on above all that were handed out, with an empty log (relaxed.ts).
 */
export type WriteDurability = 'commit' | { readonly relaxedMs: number };

export interface TxnOptions {
  /** Default: the store's own (`OpenOptions`). */
  readonly durability?: WriteDurability | undefined;
}

export interface WriteOptions extends TxnOptions {
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
  /** Each change carries `previous`. */
  readonly previousValues?: boolean | undefined;
  /** Only puts, or only deletes; default both. */
  readonly only?: Change['type'] | undefined;
  /**
   * After so long without an item (a whole number of ms from WATCH_PROGRESS_MS_MIN), and caught up, comes one
   * without changes: all up to its revision was seen. Default: never, and no timer.
   */
  readonly progressMs?: number | undefined;
  readonly signal: AbortSignal;
}

export interface Watch extends AsyncIterable<ChangeSet> {
  /** Asks for one item without changes, as soon as all up to its revision was handed out. */
  requestProgress(): void;
}

/** Who still has to read the log, and from where: what comes after `revision` is kept. */
export interface LogHold {
  readonly name: string;
  readonly revision: number;
}

export interface CompactOptions {
  /** Also what somebody holds: a replica that is passed has to compare all keys. */
  readonly overHolds?: boolean | undefined;
}

export interface Compaction {
  /** Log entries at or below this are gone. */
  readonly compactedRevision: number;
  /** Who kept it from going all the way; undefined: nobody. */
  readonly heldBy?: LogHold | undefined;
}

export interface EngineStats {
  readonly backend: string;
  readonly path: string;
  readonly revision: number;
  /** Revisions at or below this are gone from the change log. */
  readonly compactedRevision: number;
  readonly keys: number;
  readonly logEntries: number;
  readonly logBytes: number;
  /** Running time of the store since the first entry of the log was written, at least; undefined: it has none. */
  readonly oldestAgeMs: number | undefined;
  /** The one that is furthest behind first. */
  readonly holds: readonly LogHold[];
  /** Who keeps entries that are older than the history; undefined: nobody. */
  readonly heldBy: LogHold | undefined;
  readonly sizeBytes: number;
  /** Room kept on the disk, so that deletes go on when it is full. */
  readonly reserveBytes: number;
  /** The disk is full: puts are refused until there is room for the reserve again. */
  readonly refusesPuts: boolean;
  /** What is wrong with the store's files while it is open, and what to do; undefined: nothing. */
  readonly problem?: string | undefined;
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

  /** @throws InvalidArgument (a revision to come), Compacted */
  get(key: string, options?: GetOptions): Promise<KeyValue | undefined>;
  /**
   * Key order; text is a prefix. All of one revision, which the result names: give it to the next page, and
   * the pages fit together. With an older `revision` the log since then is read, in steps that yield the
   * loop: that costs in proportion to what was changed since, wherever it was. (Bounded by LOG_BYTES_MAX.)
   * @throws InvalidArgument (a revision to come), Compacted: it is gone from the log, or a change since lacks what was before
   */
  list(span: string | Span, options?: ListOptions): Promise<ListResult>;
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
  txn(conditions: readonly Condition[], ops: readonly Op[], options?: TxnOptions): Promise<number>;
  /**
   * One branch in order, as one revision: each op sees those before it. A key is put at most once, not inside
   * a span that is deleted by the same branch, and deleted by its name at most once. A branch that changes
   * nothing takes no revision. All of it is refused and nothing changed, when anything of it is.
   * Bounds: TXN_OPS_MAX compares, and ops of each branch; TXN_BYTES_MAX of keys and values;
   * TXN_RANGE_KEYS_MAX keys, with TXN_RANGE_BYTES_MAX of values, met by its prefixes and ranges together.
   * @throws InvalidArgument, TooLarge (with the numbers), NotFound (a lease), NoSpace
   */
  transact(transaction: Transaction): Promise<TransactionResult>;
  /**
   * Every change within the span (text is a prefix), in order, each exactly once, until the signal aborts (then
   * it just ends). A slow reader is caught up from the log, it never grows the heap. All watches together cost a
   * put one look-up per level of its key and one search among the ranges (range-index.ts).
   * @throws Compacted when `from` (or where a slow reader stands) is gone from the log
   */
  watch(span: string | Span, options: WatchOptions): Watch;
  /** The log after `revision`, at most `limit` revisions. @throws Compacted */
  changes(afterRevision: number, limit: number): Promise<readonly ChangeSet[]>;
  /**
   * Drops log entries at or below `revision`, in bounded steps, but none that somebody holds. Current values
   * stay. @throws InvalidArgument, NoSpace
   */
  compact(revision: number, options?: CompactOptions): Promise<Compaction>;
  /**
   * Keeps the log after `revision` for a reader called `name`, within the log's limits; undefined lets go. It
   * lasts until the engine closes: a reader says at each start where it is. @throws InvalidArgument
   */
  hold(name: string, revision: number | undefined): void;
  stats(): Promise<EngineStats>;
  close(): Promise<void>;
}
