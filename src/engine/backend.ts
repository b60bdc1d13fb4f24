/**
 * What a storage library has to give: three ordered tables of bytes and one durable transaction.
 * Revisions, comparing, the change log, group commit and watching live above it, once for all.
 *
 * Calls never overlap a `commit`: the engine has one writer, and reads run between commits.
 */
export type Table = 'kv' | 'log' | 'meta';

/** `value` undefined deletes the key. */
export interface Write {
  readonly table: Table;
  readonly key: Uint8Array;
  readonly value: Uint8Array | undefined;
}

export interface RangeQuery {
  readonly table: Table;
  /** First key, included. */
  readonly from: Uint8Array;
  /** End, not included; undefined: to the end of the table. */
  readonly before: Uint8Array | undefined;
  /** At most this many entries. */
  readonly limit: number;
  /** Stop after this many bytes of values; the first entry comes whatever its size. */
  readonly bytesMax: number;
}

export type ScanQuery = Pick<RangeQuery, 'from' | 'before' | 'limit'>;
/** A record that is `lent` is something else after the call; any other is the visitor's own. */
export type Visit = (key: string, record: Uint8Array, lent: boolean) => void;
/** What is made of a record; `lent` as in `Visit`. */
export type Take<T> = (record: Uint8Array, lent: boolean) => T;

export interface Entry {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/** Keys compare as bytes. Keys of `log` are 8 bytes, a big-endian number below 2^53. */
export interface Backend {
  readonly name: string;
  /** A commit of few writes costs as much as one of many: what waits had better share one. */
  readonly costlyCommits: boolean;
  /** The caller owns the returned bytes. */
  get(table: Table, key: Uint8Array): Uint8Array | undefined;
  /** One record of `kv`, to look at: what `take` makes of it; undefined when it is not there. */
  find<T>(key: string, take: Take<T>): T | undefined;
  range(query: RangeQuery): Entry[];
  /** The records of `kv` one after the other, within a `read`: a long list is not held twice. */
  scan(query: ScanQuery, visit: Visit): void;
  /** What `work` reads, it reads of one commit. It must not wait for anything. */
  read<T>(work: () => T): T;
  /**
   * All of `writes`, or none. Resolves after the sync: from then on no crash undoes them. A *relaxed*
   * commit needs no sync; a later one, or `sync`, takes it to the disk too.
   * @throws NoSpace, HostFailed; nothing of it is visible then, and the backend stays usable
   */
  commit(writes: readonly Write[], relaxed?: boolean): Promise<void>;
  /** Absent: every commit is synced, relaxed or not. @throws HostFailed: relaxed commits may be lost then */
  readonly sync?: (() => Promise<void>) | undefined;
  /**
   * On a full disk, never while a commit runs: gives back what its files hold that a commit could use (SQLite's
   * WAL). It may take its time.
   */
  fold?(): Folded;
  /** Bytes the store's files take on the disk. */
  sizeBytes(): number;
  close(): Promise<void>;
}

/** `failed`: the disk had no room for it, or somebody reads. */
export type Folded = 'done' | 'nothing to gain' | 'failed';

/** `none` skips every sync: only the power-cut control uses it, no configuration reaches it. */
export type Durability = 'commit' | 'none';

export interface BackendOptions {
  /** The store's folder; made when missing. */
  readonly path: string;
  readonly durability: Durability;
  /** It is only looked into: damage that its user would lose writes by is told elsewhere. */
  readonly isCopy?: boolean;
  /** What a new store starts with; committed before the store gets its name. */
  readonly initial: () => readonly Write[];
  /**
   * Reads and throws when the store must not be used. A backend whose opening would change files calls
   * it before that; after opening it is called in any case, by the engine.
   */
  readonly verify: (backend: Backend) => void;
}
