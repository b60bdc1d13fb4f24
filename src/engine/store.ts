/**
 * The contract of every store, embedded or remote: libkv's twelve calls with one meaning. docs/stores.md
 * answers each edge once, test/contract/store.ts holds a store to it.
 *
 * - Keys are `/`-separated text, a leading `/` is the same key; values are any bytes, none included.
 * - A prefix is a path prefix: `foo` covers `foo/x`, never `foobar` nor `foo` itself; `''` covers all.
 * - Every call takes a signal. Aborted before: nothing was done. Aborted during a write: whether it was
 *   applied is unknown, and a compare-and-swap tells. @throws Cancelled, DeadlineExceeded (a timeout signal)
 * - Each call also @throws InvalidArgument, TooLarge, NotReachable, Unavailable (closed), and
 *   NotSupported where `supports` says so.
 */

export interface Entry {
  /** Without a leading `/`, however it was asked for. */
  readonly key: string;
  readonly value: Uint8Array;
  /** Names the one write that made this entry; opaque. Not even a key deleted and made again has it twice. */
  readonly tag: string;
}

/** What a compare-and-swap compares with: an entry as it was read. */
export type Previous = Pick<Entry, 'tag'>;

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
}

export interface ReadOptions extends CallOptions {
  /** Default true: sees every write answered before it. False allows an older answer where that is cheaper. */
  readonly consistent?: boolean | undefined;
}

export interface PutEntryOptions extends CallOptions {
  /** Whole seconds from 1. The key ends so long after this write at the earliest; without it, it stays. */
  readonly ttlSeconds?: number | undefined;
}

export interface ListEntriesOptions extends ReadOptions {
  /** Default true: everything below. False: direct children that have a value. */
  readonly recursive?: boolean | undefined;
  /** Start after this key (for paging). */
  readonly after?: string | undefined;
  /** At most this many; default all. */
  readonly limit?: number | undefined;
}

export interface EntryPage {
  /** In the byte order of their keys. */
  readonly entries: readonly Entry[];
  /** True when `limit` cut the answer. */
  readonly more: boolean;
}

export type KeyEvent =
  | { readonly type: 'put'; readonly entry: Entry }
  | { readonly type: 'delete'; readonly key: string };

/** `all` is everything there, and comes first; `changes` are later ones, in the order they happened. */
export type TreeEvent =
  | { readonly type: 'all'; readonly entries: readonly Entry[] }
  | { readonly type: 'changes'; readonly changes: readonly KeyEvent[] };

export interface StoreLockOptions extends CallOptions {
  /** Who holds it, for others to read in the lock's own key; default none. */
  readonly value?: Uint8Array | undefined;
  /** How long a holder that died keeps it; default 20. It is renewed as long as the holder lives. */
  readonly ttlSeconds?: number | undefined;
}

export interface Lock {
  /** Larger for each later holder: give it to what the lock guards, which refuses a smaller one. */
  readonly token: number;
  /** Aborts as soon as the lock may be another's, with the error that says why as its reason. */
  readonly lost: AbortSignal;
  /** Again, or after it was lost: does nothing. */
  unlock(): Promise<void>;
}

/** What not every store can. The suite skips, with the reason, what is false here. */
export interface StoreSupports {
  readonly ttl: boolean;
  readonly lock: boolean;
  /** Each write raises its own event, also one that repeats the value; false: the last of several may stand for all. */
  readonly everyChange: boolean;
}

export interface Store {
  readonly supports: StoreSupports;

  /** @throws KeyNotFound */
  get(key: string, options?: ReadOptions): Promise<Entry>;
  exists(key: string, options?: ReadOptions): Promise<boolean>;
  /** What is under `prefix`. @throws KeyNotFound when nothing is, and `prefix` is no key either */
  list(prefix: string, options?: ListEntriesOptions): Promise<EntryPage>;
  put(key: string, value: Uint8Array, options?: PutEntryOptions): Promise<void>;
  /** @throws KeyNotFound */
  delete(key: string, options?: CallOptions): Promise<void>;
  /** `key` and everything under it, not always at once. @throws KeyNotFound when there is neither */
  deleteTree(key: string, options?: CallOptions): Promise<void>;
  /** `null`: the key must not exist. @throws KeyExists (null), KeyModified (gone, too), PreviousNotSpecified */
  atomicPut(
    key: string,
    value: Uint8Array,
    previous: Previous | null,
    options?: PutEntryOptions,
  ): Promise<Entry>;
  /** @throws KeyModified, KeyNotFound, PreviousNotSpecified */
  atomicDelete(key: string, previous: Previous, options?: CallOptions): Promise<void>;
  /**
   * First how the key is now (`delete`: it isn't), then each change without a gap. Ends quietly when the
   * signal aborts, else by an error that says why. @throws Compacted (a reader too slow: watch anew)
   */
  watch(key: string, options?: CallOptions): AsyncIterable<KeyEvent>;
  /** The same for all that is under `prefix`, which need not exist. */
  watchTree(prefix: string, options?: CallOptions): AsyncIterable<TreeEvent>;
  /** Waits its turn, first come first served. `key` is the lock's own: its keys are under it. @throws CannotLock */
  lock(key: string, options?: StoreLockOptions): Promise<Lock>;
  /** Ends its watches, releases its locks. */
  close(): Promise<void>;
}
