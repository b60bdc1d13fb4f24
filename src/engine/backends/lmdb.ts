/**
 * LMDB, one `transactionSync` a commit with overlappingSync off: it returns after fdatasync and the
 * durable meta page (checked with strace; the faster promise API answers no earlier and costs more per
 * put). Commits run on a thread of their own (commit-thread.ts). Reads share one read transaction from
 * commit to commit: beginning one writes into the mapped lock file, which the kernel would flush to the
 * disk of an idle host every 30 s.
 */
import { open } from 'lmdb';
import { GiB, MiB } from '../../base/bytes.ts';
import { messageOf } from '../../base/errors.ts';
import { BATCH_BYTES_MAX } from '../limits.ts';
import { asBuffer, keyBytes } from '../key.ts';
import { corrupt } from '../log.ts';
import { allocateLockFile, allocateTail, checkLmdbFile } from './lmdb-file.ts';
import { ThreadedBackend, type CommitTarget, type StoreHandle } from './commit-thread.ts';
import { PAGE_BYTES } from './lmdb-pages.ts';
import { isUnsynced, markUnsynced, unsyncedError } from './unsynced.ts';
import { fileBytes, freeBytes, placeStore, storeError } from './store-file.ts';
import type { Database, RootDatabase, Transaction } from 'lmdb';
import type {
  Backend,
  BackendOptions,
  Entry,
  RangeQuery,
  ScanQuery,
  Table,
  Take,
  Visit,
  Write,
} from '../backend.ts';

/** Address space, not memory or disk: the store cannot outgrow it. */
const MAP_BYTES = 16 * GiB;
const MDB_MAP_FULL = -30792;
const MDB_DAMAGED = new Set([
  -30797 /* PAGE_NOTFOUND */, -30796 /* CORRUPTED */, -30793 /* INVALID */,
  -30782 /* BAD_TXN: goes on after one of the others */, -30779 /* PROBLEM */,
]);
const ENOSPC = 28;
/** What LMDB makes of a write that came out short (mdb_page_flush), which is how a file system fills up. */
const EIO = 5;
/** What fits into this was not refused for want of room: a batch, and the pages that lead to it. */
const ROOM_BYTES_MIN = BATCH_BYTES_MAX + 10 * PAGE_BYTES;
/** Pages of a commit whatever is in it: the paths to what it changes, the list of free pages. */
const COMMIT_PAGES = 16;
/** What others may write between a look at the disk and the commit: with less, the blocks are taken first. */
const PLENTY_BYTES = 64 * MiB;
const TABLES: readonly Table[] = ['kv', 'log', 'meta'];

/**
 * The library's own binary encoding copies each key and value into memory of its own, which takes longer
 * than reading it. These lend what was read, until the next read.
 */
const VALUES = {
  encode: (value: Buffer): Buffer => value,
  decode: (lent: Buffer): Buffer => lent,
};
const writeKey = (key: Uint8Array, target: Buffer, at: number): number => {
  target.set(key, at);
  return at + key.length;
};
const KEYS = {
  writeKey,
  readKey: (lent: Buffer, from: number, to: number): Buffer => Buffer.from(lent.subarray(from, to)),
};
const TEXT_KEYS = {
  writeKey: (key: Uint8Array | string, target: Buffer, at: number): number =>
    typeof key === 'string' ? at + target.write(key, at) : writeKey(key, target, at),
  readKey: (lent: Buffer, from: number, to: number): string => lent.toString('utf8', from, to),
};

/** Not by Buffer's own copy: the library gives what it lends a `length` that is not the array's own. */
function copied(lent: Buffer): Buffer {
  return Buffer.from(lent.subarray(0, lent.length));
}

type Binary = Database<Buffer, Uint8Array | string>;
/** As the tables' key encoders make them: text in `kv`, else bytes. */
interface Row {
  readonly key: Uint8Array | string;
  readonly value: Buffer;
}

/** @throws StateMismatch, Corrupt, PermissionDenied, NoSpace */
export async function openLmdb(options: BackendOptions): Promise<Backend> {
  const { path, durability } = options;
  const file = await placeStore(path, 'lmdb', async (aside) => {
    const backend = connectLmdb({
      backend: 'lmdb',
      file: aside,
      folder: path,
      durability: 'commit',
    });
    try {
      await backend.commit(options.initial());
    } finally {
      await backend.close();
    }
  });
  guard(`cannot read ${file}`, path, () => checkLmdbFile(file, TABLES));
  const target: CommitTarget = { backend: 'lmdb', file, folder: path, durability };
  return new ThreadedBackend(connectLmdb(target), target);
}

/** One of the handles of this process: the library gives each thread the same environment. */
export function connectLmdb({ file, folder, durability }: CommitTarget): StoreHandle {
  return guard(`cannot open ${file}`, folder, () => {
    allocateLockFile(`${file}-lock`);
    const root = open<Buffer, Uint8Array>({
      path: file,
      noSubdir: true,
      encoding: 'binary',
      keyEncoding: 'binary',
      pageSize: PAGE_BYTES,
      mapSize: MAP_BYTES,
      maxDbs: 3,
      overlappingSync: false,
      noSync: durability === 'none',
    });
    try {
      return new LmdbHandle(root, file, folder);
    } catch (thrown) {
      // It was never in use: nothing waits for what closing it says.
      root.close().catch(() => undefined);
      throw thrown;
    }
  });
}

class LmdbHandle implements StoreHandle {
  readonly name = 'lmdb';
  /** It copies the path to each page that changes, the roots of three trees and the list of free pages. */
  readonly costlyCommits = true;
  readonly #root: RootDatabase<Buffer, Uint8Array>;
  readonly #tables: Record<Table, Binary>;
  readonly #file: string;
  readonly #folder: string;
  #snapshot: Transaction | undefined;
  #isUnsynced: boolean;

  constructor(root: RootDatabase<Buffer, Uint8Array>, file: string, folder: string) {
    const table = (name: Table): Binary => {
      const keyEncoder = name === 'kv' ? TEXT_KEYS : KEYS;
      const options = { name, encoder: VALUES, keyEncoder };
      return root.openDB<Buffer, Uint8Array | string>(options);
    };
    this.#root = root;
    this.#tables = { kv: table('kv'), log: table('log'), meta: table('meta') };
    this.#file = file;
    this.#isUnsynced = isUnsynced(file);
    this.#folder = folder;
  }

  get(table: Table, key: Uint8Array): Uint8Array | undefined {
    return guard('cannot read the store', this.#folder, () => {
      const lent = this.#tables[table].get(key, { transaction: this.#reading() });
      return lent && copied(lent);
    });
  }

  find<T>(key: string, take: Take<T>): T | undefined {
    return guard('cannot read the store', this.#folder, () => {
      const lent = this.#tables.kv.get(key, { transaction: this.#reading() });
      return lent && take(lent, true);
    });
  }

  range(query: RangeQuery): Entry[] {
    return guard('cannot read the store', this.#folder, () => {
      const entries: Entry[] = [];
      let bytes = 0;
      for (const { key, value: lent } of this.#rows(query.table, query)) {
        const value = copied(lent);
        entries.push({ key: typeof key === 'string' ? keyBytes(key) : key, value });
        bytes += value.length;
        if (bytes >= query.bytesMax) break;
      }
      return entries;
    });
  }

  scan(query: ScanQuery, visit: Visit): void {
    guard('cannot read the store', this.#folder, () => {
      for (const { key, value } of this.#rows('kv', query)) visit(key as string, value, true);
    });
  }

  #rows(table: Table, { from, before, limit }: ScanQuery): Iterable<Row> {
    return this.#tables[table].getRange({
      start: from.length === 0 ? undefined : from,
      end: before,
      limit,
      transaction: this.#reading(),
    });
  }

  refresh(): void {
    this.#snapshot?.done();
    this.#snapshot = undefined;
    // The library keeps its read transaction until the next turn of the loop otherwise.
    this.#root.resetReadTxn();
  }

  /** The read transaction stays the same until a commit was answered. */
  read<T>(work: () => T): T {
    return work();
  }

  async commit(writes: readonly Write[]): Promise<void> {
    if (this.#isUnsynced) throw unsyncedError(this.#file);
    this.refresh();
    guard('cannot write the store', this.#folder, () => {
      makeRoom(writes, this.#file, this.#folder);
      try {
        this.#root.transactionSync(() => this.#apply(writes));
      } catch (thrown) {
        if (isFailedSync(thrown, this.#folder)) {
          this.#isUnsynced = true;
          markUnsynced(this.#file);
        }
        throw thrown;
      }
    });
  }

  #apply(writes: readonly Write[]): void {
    for (const { table, key, value } of writes) {
      if (value) this.#put(table, key, asBuffer(value));
      else this.#tables[table].removeSync(key);
    }
  }

  /** The log only grows at its end: told so, LMDB fills its pages instead of splitting each in the middle. */
  #put(table: Table, key: Uint8Array, value: Buffer): void {
    const to = this.#tables[table];
    if (table !== 'log') return to.putSync(key, value);
    // Its types say nothing of the answer: false when the key is not behind the last one.
    const done: unknown = to.putSync(key, value, { append: true });
    if (done !== true) throw corrupt(`the table ${table} goes on after its last record`);
  }

  sizeBytes(): number {
    return fileBytes(this.#file);
  }

  async close(): Promise<void> {
    this.refresh();
    await this.#root.close();
  }

  #reading(): Transaction {
    this.#snapshot ??= this.#root.useReadTransaction();
    return this.#snapshot;
  }
}

/**
 * LMDB must not meet the end of the disk: the library (3.5.6, mdb_page_flush) then writes a message into 100
 * bytes that may be longer, and the process can die of it. So where the disk is nearly full the file gets
 * the blocks first that the commit may need. @throws ENOSPC
 */
function makeRoom(writes: readonly Write[], file: string, folder: string): void {
  const bytes = commitBytes(writes);
  if (freeBytes(folder) < PLENTY_BYTES + bytes) allocateTail(file, bytes);
}

/** At most, about. */
function commitBytes(writes: readonly Write[]): number {
  let bytes = COMMIT_PAGES * PAGE_BYTES;
  for (const { table, value } of writes) {
    // Log records lie one behind the other: those that go free their pages, those that come fill theirs.
    if (table !== 'log') bytes += 2 * PAGE_BYTES;
    if (value) bytes += value.length > PAGE_BYTES / 4 ? value.length + PAGE_BYTES : value.length;
  }
  return bytes;
}

/**
 * See unsynced.ts. Of a write that fails the library says where it was to go; a sync, and the meta page, have
 * no such words. Nor has a write that came out short, which is taken for one as long as the disk has room.
 */
function isFailedSync(thrown: unknown, folder: string): boolean {
  const code = thrown instanceof Error && 'code' in thrown ? Number(thrown.code) : 0;
  if (messageOf(thrown).includes('write page')) return false;
  return code === ENOSPC || (code === EIO && freeBytes(folder) >= ROOM_BYTES_MIN);
}

function guard<T>(doing: string, folder: string, work: () => T): T {
  try {
    return work();
  } catch (thrown) {
    const code = thrown instanceof Error && 'code' in thrown ? Number(thrown.code) : 0;
    throw storeError(thrown, doing, folder, {
      noSpace:
        code === MDB_MAP_FULL ||
        code === ENOSPC ||
        (code === EIO && freeBytes(folder) < ROOM_BYTES_MIN),
      corrupt: MDB_DAMAGED.has(code),
    });
  }
}
