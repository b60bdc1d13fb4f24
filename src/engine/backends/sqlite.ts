/**
 * SQLite in WAL mode, every commit synced (synchronous=FULL). One connection reads, one on a thread of
 * its own commits (commit-thread.ts); they share the process. SQLite's VFS `unix-excl` locks the file for
 * this process and keeps the WAL index of its connections on the heap (https://www.sqlite.org/vfs.html
 * section 2.1): there is no -shm file to be written, and nobody else can come in (SQLite before 3.51.3
 * loses commits when two connections checkpoint at once:
 * https://github.com/benbjohnson/litestream/issues/1432, and Debian 12's sqlite3 tool is such a one).
 * The WAL is folded back by the commit that fills it, never by a timer.
 */
import './sqlite-uri.ts';
import { closeSync, fdatasyncSync, openSync, rmSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import Database from 'better-sqlite3';
import { HoldfastError } from '../../base/errors.ts';
import { MiB } from '../../base/bytes.ts';
import { asBuffer, keyAfter, keyBytes, keyText } from '../key.ts';
import { FORMAT } from '../record.ts';
import { corrupt, logKey, readU64 } from '../log.ts';
import { ThreadedBackend, type CommitTarget, type StoreHandle } from './commit-thread.ts';
import { walProblem } from './sqlite-wal.ts';
import { isUnsynced, markUnsynced, unsyncedError } from './unsynced.ts';
import {
  fileBytes,
  freeBytes,
  notOurs,
  placeStore,
  readStart,
  storeError,
  truncated,
} from './store-file.ts';
import type {
  Backend,
  BackendOptions,
  Entry,
  Folded,
  RangeQuery,
  ScanQuery,
  Table,
  Take,
  Visit,
  Write,
} from '../backend.ts';

/** "HOLD": `file` and we tell our stores from other SQLite files by it. */
const APPLICATION_ID = 0x484f4c44;
const VERSION_MIN = [3, 51, 3] as const;
/**
 * Of a new store. A lone put writes three leaf pages into the WAL: half of what SQLite's own 4 KiB would wear the
 * flash by, and commits of many puts take half as long. With 1 KiB the trees get deep.
 */
const PAGE_BYTES = 2048;
/** WAL after which a commit checkpoints: some 2,700 lone puts, a stall of ~50 ms on a slow disk. */
const CHECKPOINT_BYTES = 16 * MiB;
/**
 * With less free than this the WAL is folded back when it is so long already: folding it makes the
 * file grow, and once the disk is full the reserve has to do for that.
 */
const TIGHT_BYTES = 64 * MiB;
const TIGHT_CHECKPOINT_BYTES = MiB;
const CACHE_BYTES = 8 * MiB;
/** Rows of a long list that are read at a time: all at once they outlive V8's young generation. */
const SCAN_ROWS = 1000;
/** The library gives each value memory of its own: a hundred thousand small ones are better copied together. */
const SMALL_BYTES = 512;
/** As good as none: the largest number that is bound as an integer. */
const LIMIT_MAX = 0x7fff_ffff;

/** The first 100 bytes of a database: https://www.sqlite.org/fileformat.html section 1.3. */
const HEADER_BYTES = 100;
const HEADER_MAGIC = 'SQLite format 3\0';

const SCHEMA = `
  CREATE TABLE kv (k BLOB PRIMARY KEY, v BLOB NOT NULL) WITHOUT ROWID;
  CREATE TABLE log (k INTEGER PRIMARY KEY, v BLOB NOT NULL);
  CREATE TABLE meta (k BLOB PRIMARY KEY, v BLOB NOT NULL) WITHOUT ROWID;
`;

type SqlKey = Uint8Array | number;
/** As declared; what a damaged file holds is looked at before use. */
type Row = [key: unknown, value: unknown];

/** Frames of the WAL, and those of them that are folded in; -1 for no WAL. */
interface WalState {
  readonly log: number;
  readonly checkpointed: number;
}

interface Statements {
  readonly get: Database.Statement<[SqlKey], unknown>;
  readonly put: Database.Statement<[SqlKey, Uint8Array]>;
  readonly remove: Database.Statement<[SqlKey]>;
  readonly from: Database.Statement<[SqlKey, number], Row>;
  readonly between: Database.Statement<[SqlKey, SqlKey, number], Row>;
}

/** @throws StateMismatch, Corrupt, PermissionDenied, NoSpace */
export async function openSqlite(options: BackendOptions): Promise<Backend> {
  const { path, durability } = options;
  const file = await placeStore(path, 'sqlite', async (aside) => {
    const backend = create(aside, path);
    try {
      await backend.commit(options.initial());
    } finally {
      await backend.close();
    }
  });
  guard(`cannot read ${file}`, path, () => checkFile(file));
  if (fileBytes(`${file}-wal`) > 0) {
    if (!options.isCopy) refuseDamagedWal(`${file}-wal`);
    await verifyUnchanged(file, options);
  }
  const target: CommitTarget = { backend: 'sqlite', file, folder: path, durability };
  return new ThreadedBackend(connectSqlite(target), target);
}

function create(file: string, folder: string): SqliteHandle {
  return opened(file, folder, {}, (db) => {
    db.pragma(`page_size = ${PAGE_BYTES}`);
    db.pragma(`application_id = ${APPLICATION_ID}`);
    db.pragma(`user_version = ${FORMAT}`);
    db.exec(SCHEMA);
  });
}

/**
 * Closing a connection folds the WAL into the database, also when what was found in it is refused. So a
 * store with a WAL is looked at through a connection that can't write; the index it makes is removed.
 */
async function verifyUnchanged(file: string, { path, verify }: BackendOptions): Promise<void> {
  try {
    const probe = opened(file, path, { fileMustExist: true, readonly: true }, () => undefined);
    try {
      verify(probe);
    } finally {
      await probe.close();
    }
  } catch (thrown) {
    // No room for that index: then it is left to the opening, which keeps its own on the heap.
    if (!sqliteCode(thrown).startsWith('SQLITE_IOERR_SHM')) throw thrown;
  } finally {
    rmSync(`${file}-shm`, { force: true });
  }
}

/** SQLite would go on without what is behind the damage, and write over it. @throws Corrupt */
function refuseDamagedWal(wal: string): void {
  const found = walProblem(wal);
  if (found?.severity !== 'error') return;
  throw new HoldfastError('Corrupt', `${wal}: ${found.what}`, {
    hint:
      'keep a copy of the engine folder, then restore it from a backup; ' +
      '`holdfast kv dump --offline` gives what was written before',
  });
}

/** The code of the SQLite error behind one of ours; empty when there is none. */
function sqliteCode(thrown: unknown): string {
  const cause = thrown instanceof HoldfastError ? thrown.cause : thrown;
  return cause instanceof Database.SqliteError ? cause.code : '';
}

/**
 * A backend over a new connection, which is closed again when `prepare` or the first look at the file fails.
 * @param name what SQLite is to open, when that is more than the file
 */
function opened(
  file: string,
  folder: string,
  options: Database.Options,
  prepare: (db: Database.Database) => void,
  name = file,
): SqliteHandle {
  return guard(`cannot open ${file}`, folder, () => {
    const db = new Database(name, options);
    try {
      prepare(db);
      return new SqliteHandle(db, file, folder);
    } catch (thrown) {
      db.close();
      throw thrown;
    }
  });
}

/** Reads the header without SQLite, so that a file which isn't ours stays as it is. */
function checkFile(file: string): void {
  const { start, sizeBytes } = readStart(file, HEADER_BYTES);
  if (start.length < HEADER_BYTES) throw truncated(file, sizeBytes, HEADER_BYTES);
  if (start.toString('latin1', 0, 16) !== HEADER_MAGIC) throw notOurs(file, 'no SQLite header');
  const id = start.readUInt32BE(68);
  if (id !== APPLICATION_ID) {
    throw notOurs(file, `an SQLite file with application id 0x${id.toString(16)}`);
  }
  const format = start.readUInt32BE(60);
  if (format > FORMAT) {
    throw new HoldfastError(
      'StateMismatch',
      `${file} has format ${format}, this version of Holdfast reads up to ${FORMAT}`,
      { hint: 'run the Holdfast version that wrote it, or a newer one' },
    );
  }
  // While a WAL is there an interrupted checkpoint may have written the first page, but not the last.
  const wantBytes = start.readUInt32BE(28) * start.readUInt16BE(16);
  if (fileBytes(`${file}-wal`) === 0 && sizeBytes < wantBytes) {
    throw truncated(file, sizeBytes, wantBytes);
  }
}

/** One of the connections of this process. */
export function connectSqlite({ file, folder, durability }: CommitTarget): StoreHandle {
  const prepare = (db: Database.Database): void => {
    checkVersion(db);
    const mode = db.pragma('journal_mode = WAL', { simple: true });
    if (mode !== 'wal') throw new HoldfastError('HostFailed', `${file}: no WAL but ${mode}`);
    db.pragma(`synchronous = ${durability === 'commit' ? 'FULL' : 'OFF'}`);
    // Done after a commit instead (#fold): SQLite's own says nothing of a sync that fails.
    db.pragma('wal_autocheckpoint = 0');
    db.pragma(`journal_size_limit = ${CHECKPOINT_BYTES}`);
    db.pragma(`cache_size = ${-CACHE_BYTES / 1024}`);
  };
  return opened(file, folder, { fileMustExist: true }, prepare, exclusiveUri(file));
}

function exclusiveUri(file: string): string {
  return `${pathToFileURL(file).href}?vfs=unix-excl`;
}

function checkVersion(db: Database.Database): void {
  const version = db.prepare<[], string>('SELECT sqlite_version()').pluck().get() ?? '';
  const [major = 0, minor = 0, patch = 0] = version.split('.').map(Number);
  const [wantMajor, wantMinor, wantPatch] = VERSION_MIN;
  const have = major * 1e6 + minor * 1e3 + patch;
  if (have >= wantMajor * 1e6 + wantMinor * 1e3 + wantPatch) return;
  throw new HoldfastError(
    'NotSupported',
    `SQLite ${version} can lose committed transactions, ${VERSION_MIN.join('.')} is needed`,
    { hint: 'install the pinned better-sqlite3 with npm ci' },
  );
}

class SqliteHandle implements StoreHandle {
  readonly name = 'sqlite';
  readonly costlyCommits = false;
  readonly #db: Database.Database;
  readonly #file: string;
  /** The power-cut control. */
  readonly #isNeverSynced: boolean;
  #isRelaxed = false;
  readonly #folder: string;
  /** Older stores have larger ones. */
  readonly #pageBytes: number;
  readonly #statements: Record<Table, Statements>;
  readonly #apply: (writes: readonly Write[]) => void;
  readonly #look: Database.Statement<[], WalState>;
  #isUnsynced: boolean;

  constructor(db: Database.Database, file: string, folder: string) {
    this.#db = db;
    this.#file = file;
    this.#isNeverSynced = db.pragma('synchronous', { simple: true }) === 0;
    this.#folder = folder;
    this.#pageBytes = db.pragma('page_size', { simple: true }) as number;
    this.#isUnsynced = isUnsynced(file);
    this.#statements = guard(`cannot read ${file}`, folder, () => ({
      kv: statements(db, 'kv'),
      log: statements(db, 'log'),
      meta: statements(db, 'meta'),
    }));
    this.#look = db.prepare<[], WalState>('PRAGMA wal_checkpoint(NOOP)');
    this.#apply = db.transaction((writes: readonly Write[]) => {
      for (const { table, key, value } of writes) {
        const { put, remove } = this.#statements[table];
        if (value) put.run(sqlKey(table, key), value);
        else remove.run(sqlKey(table, key));
      }
    }).immediate;
  }

  get(table: Table, key: Uint8Array): Uint8Array | undefined {
    return guard('cannot read the store', this.#folder, () => {
      const value = this.#statements[table].get.get(sqlKey(table, key));
      return value === undefined ? undefined : bytesValue(table, value);
    });
  }

  find<T>(key: string, take: Take<T>): T | undefined {
    const record = this.get('kv', keyBytes(key));
    return record && take(record, false);
  }

  range(query: RangeQuery): Entry[] {
    return guard('cannot read the store', this.#folder, () => {
      const { table, bytesMax } = query;
      const entries: Entry[] = [];
      let bytes = 0;
      for (const [key, found] of this.#rows(query)) {
        const value = bytesValue(table, found);
        entries.push({ key: bytesKey(table, key), value });
        bytes += value.length;
        if (bytes >= bytesMax) break;
      }
      return entries;
    });
  }

  scan(query: ScanQuery, visit: Visit): void {
    guard('cannot read the store', this.#folder, () => this.#scan(query, visit));
  }

  /** Page by page, so that what was visited is garbage soon. */
  #scan({ from, before, limit }: ScanQuery, visit: Visit): void {
    let start = from;
    for (let left = limit; left > 0; left -= SCAN_ROWS) {
      const most = Math.min(left, SCAN_ROWS);
      let rows = 0;
      for (const [key, value] of this.#rows({
        table: 'kv',
        from: start,
        before,
        limit: most,
        bytesMax: Infinity,
      })) {
        const text = typeof key === 'string' ? key : keyText(bytesKey('kv', key));
        const record = bytesValue('kv', value);
        visit(text, record, record.length <= SMALL_BYTES);
        rows += 1;
        if (rows === most) start = keyAfter(text);
      }
      if (rows < most) return;
    }
  }

  read<T>(work: () => T): T {
    return guard('cannot read the store', this.#folder, () => this.#db.transaction(work)());
  }

  /** All at once costs half of one by one; that is for where the bytes are bounded, not the rows alone. */
  #rows({ table, from, before, limit, bytesMax }: RangeQuery): Iterable<Row> {
    const { from: open, between } = this.#statements[table];
    const start = sqlKey(table, from);
    const most = Math.min(limit, LIMIT_MAX);
    if (!before) return bytesMax === Infinity ? open.all(start, most) : open.iterate(start, most);
    const end = sqlKey(table, before);
    return bytesMax === Infinity
      ? between.all(start, end, most)
      : between.iterate(start, end, most);
  }

  /** Each read sees the newest commit. */
  refresh(): void {}

  async commit(writes: readonly Write[], relaxed = false): Promise<void> {
    if (this.#isUnsynced) throw unsyncedError(this.#file);
    this.#noticing(() => {
      guard('cannot write the store', this.#folder, () => {
        this.#relax(relaxed);
        this.#apply(writes);
      });
    });
    this.#foldBack();
  }

  /** NORMAL leaves out the sync of the WAL, not those of a checkpoint: https://www.sqlite.org/pragma.html#pragma_synchronous */
  #relax(relaxed: boolean): void {
    if (relaxed === this.#isRelaxed || this.#isNeverSynced) return;
    this.#db.pragma(`synchronous = ${relaxed ? 'NORMAL' : 'FULL'}`);
    this.#isRelaxed = relaxed;
  }

  /** The WAL has all that was committed since the last checkpoint, and a checkpoint syncs what it folds back. */
  async sync(): Promise<void> {
    if (this.#isUnsynced) throw unsyncedError(this.#file);
    guard('cannot sync the store', this.#folder, () => {
      const fd = openSync(`${this.#file}-wal`, 'r');
      try {
        fdatasyncSync(fd);
      } catch (thrown) {
        this.#noticed();
        throw thrown;
      } finally {
        closeSync(fd);
      }
    });
  }

  fold(): Folded {
    if (this.#isUnsynced) return 'failed';
    if (fileBytes(`${this.#file}-wal`) === 0) return 'nothing to gain';
    try {
      // Answers whether a reader kept it from it, and throws when the file can't grow.
      const isBusy = this.#noticing(
        () => this.#db.pragma('wal_checkpoint(TRUNCATE)', { simple: true }) !== 0,
      );
      return isBusy ? 'failed' : 'done';
    } catch {
      return 'failed';
    }
  }

  /** What was committed is durable in the WAL already: where folding it in fails, only a failed sync matters. */
  #foldBack(): void {
    const { log, checkpointed } = this.#look.get()!;
    const bytes = log * this.#pageBytes;
    if (bytes < TIGHT_CHECKPOINT_BYTES || log <= checkpointed) return;
    if (bytes < CHECKPOINT_BYTES && freeBytes(this.#folder) >= TIGHT_BYTES) return;
    try {
      this.#noticing(() => this.#db.pragma('wal_checkpoint(PASSIVE)'));
    } catch (thrown) {
      if (!(thrown instanceof Database.SqliteError)) throw thrown;
    }
  }

  /** See unsynced.ts. */
  #noticing<T>(work: () => T): T {
    try {
      return work();
    } catch (thrown) {
      if (sqliteCode(thrown).endsWith('FSYNC')) this.#noticed();
      throw thrown;
    }
  }

  #noticed(): void {
    this.#isUnsynced = true;
    markUnsynced(this.#file);
  }

  sizeBytes(): number {
    return fileBytes(this.#file) + fileBytes(`${this.#file}-wal`);
  }

  async close(): Promise<void> {
    guard('cannot close the store', this.#folder, () => this.#db.close());
  }
}

function statements(db: Database.Database, table: Table): Statements {
  // Text costs a quarter of a blob to hand over; a key that is no UTF-8 fails its record's checksum.
  const row = `${table === 'kv' ? 'CAST(k AS TEXT)' : 'k'}, v FROM ${table}`;
  return {
    get: db.prepare<[SqlKey], unknown>(`SELECT v FROM ${table} WHERE k = ?`).pluck(),
    // The log only grows: a record that is there already means damage.
    put: db.prepare(`${table === 'log' ? 'INSERT' : 'REPLACE'} INTO ${table} VALUES (?, ?)`),
    remove: db.prepare(`DELETE FROM ${table} WHERE k = ?`),
    from: db.prepare<[SqlKey, number], Row>(`SELECT ${row} WHERE k >= ? ORDER BY k LIMIT ?`).raw(),
    between: db
      .prepare<[SqlKey, SqlKey, number], Row>(
        `SELECT ${row} WHERE k >= ? AND k < ? ORDER BY k LIMIT ?`,
      )
      .raw(),
  };
}

/** A revision is the log's row id: appending then never splits a page in the middle. */
function sqlKey(table: Table, key: Uint8Array): SqlKey {
  if (table !== 'log') return key;
  return readU64(asBuffer(key), 0);
}

/** A damaged row may have columns of any type: SQLite stores the type beside the value. */
function bytesKey(table: Table, key: unknown): Uint8Array {
  if (table === 'kv' && typeof key === 'string') return keyBytes(key);
  if (table !== 'log') return bytesValue(table, key);
  if (typeof key === 'number' && Number.isSafeInteger(key) && key >= 0) return logKey(key);
  throw corrupt(`the table log has the key ${String(key)}`);
}

function bytesValue(table: Table, value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value;
  const type = value === null ? 'null' : typeof value;
  throw corrupt(`the table ${table} has a ${type} where bytes belong`);
}

function guard<T>(doing: string, folder: string, work: () => T): T {
  try {
    return work();
  } catch (thrown) {
    const code = sqliteCode(thrown);
    throw storeError(thrown, code === '' ? doing : `${doing} (${code})`, folder, {
      noSpace: code === 'SQLITE_FULL',
      corrupt: /^SQLITE_(CORRUPT|CONSTRAINT|NOTADB)/.test(code),
      denied: code.startsWith('SQLITE_READONLY') || code.startsWith('SQLITE_CANTOPEN'),
    });
  }
}
