/** What is measured: our engine, and beside it the raw libraries and etcd on the same work. */
import { setMaxListeners } from 'node:events';
import path from 'node:path';
import Database from 'better-sqlite3';
import { open } from 'lmdb';
import { openEngine, type Engine } from '../../src/engine/index.ts';
import { EtcdClient } from '../../src/sync/stores/etcd/index.ts';
import type { Item, Load } from './load.ts';

export const BACKENDS = ['sqlite', 'lmdb'] as const;
export type BackendName = (typeof BACKENDS)[number];

/** Keys of one transaction when a store is filled; etcd takes 128 (`--max-txn-ops`). */
const FILL_OPS = 1000;

export interface Subject {
  /** Keeps `inFlight` durable puts in flight for `ms`. @returns how many were acknowledged */
  putFor(load: Load, inFlight: number, ms: number): Promise<number>;
  /** One get after another for `ms`. @returns how many */
  getFor(load: Load, ms: number): Promise<number>;
  /** All keys with their values. @returns how many */
  list(): Promise<number>;
  fill(load: Load): Promise<void>;
  close(): Promise<void>;
}

/** `inFlight` callers, each of which goes on when it was answered. */
export async function callers(
  inFlight: number,
  ms: number,
  call: () => Promise<unknown>,
): Promise<number> {
  const until = performance.now() + ms;
  let done = 0;
  const caller = async (): Promise<void> => {
    while (performance.now() < until) {
      await call();
      done += 1;
    }
  };
  await Promise.all(Array.from({ length: inFlight }, caller));
  return done;
}

export class EngineSubject implements Subject {
  readonly engine: Engine;

  private constructor(engine: Engine) {
    this.engine = engine;
  }

  static async open(backend: BackendName, folder: string): Promise<EngineSubject> {
    return new EngineSubject(await openEngine({ backend, path: folder }));
  }

  putFor(load: Load, inFlight: number, ms: number): Promise<number> {
    return callers(inFlight, ms, () => {
      const { key, value } = load.next();
      return this.engine.put(key, value);
    });
  }

  getFor(load: Load, ms: number): Promise<number> {
    return callers(1, ms, () => this.engine.get(load.next().key));
  }

  async list(): Promise<number> {
    return (await this.engine.list('hosts')).kvs.length;
  }

  async fill(load: Load): Promise<void> {
    for (const items of load.all(FILL_OPS)) {
      await this.engine.txn(
        [],
        items.map(({ key, value }) => ({ type: 'put' as const, key, value })),
      );
    }
  }

  close(): Promise<void> {
    return this.engine.close();
  }
}

/** better-sqlite3 as one would use it for this alone: WAL, synced, one transaction per batch. */
class RawSqlite implements Subject {
  readonly #db: Database.Database;
  readonly #get: Database.Statement<[string], Buffer>;
  readonly #list: Database.Statement<[string, string], { k: string; v: Buffer }>;
  readonly #putAll: (items: readonly Item[]) => void;

  constructor(folder: string) {
    this.#db = new Database(path.join(folder, 'raw.db'));
    this.#db.pragma('journal_mode = WAL');
    this.#db.pragma('synchronous = FULL');
    this.#db.exec('CREATE TABLE kv (k TEXT PRIMARY KEY, v BLOB NOT NULL) WITHOUT ROWID');
    this.#get = this.#db.prepare<[string], Buffer>('SELECT v FROM kv WHERE k = ?').pluck();
    this.#list = this.#db.prepare('SELECT k, v FROM kv WHERE k >= ? AND k < ? ORDER BY k');
    const put = this.#db.prepare(
      'INSERT INTO kv VALUES (?, ?) ON CONFLICT (k) DO UPDATE SET v = excluded.v',
    );
    this.#putAll = this.#db.transaction((items: readonly Item[]) => {
      for (const { key, value } of items) put.run(key, value);
    }).immediate;
  }

  async putFor(load: Load, inFlight: number, ms: number): Promise<number> {
    const until = performance.now() + ms;
    let done = 0;
    while (performance.now() < until) {
      this.#putAll(load.take(inFlight));
      done += inFlight;
    }
    return done;
  }

  async getFor(load: Load, ms: number): Promise<number> {
    const until = performance.now() + ms;
    let done = 0;
    for (; performance.now() < until; done += 1) this.#get.get(load.next().key);
    return done;
  }

  async list(): Promise<number> {
    return this.#list.all('hosts/', 'hosts0').length;
  }

  async fill(load: Load): Promise<void> {
    for (const items of load.all(FILL_OPS)) this.#putAll(items);
  }

  async close(): Promise<void> {
    this.#db.close();
  }
}

/** lmdb as its README says: `put`, durable once `flushed` resolved. */
class RawLmdb implements Subject {
  readonly #db;

  constructor(folder: string) {
    this.#db = open<Buffer, string>({ path: path.join(folder, 'raw.mdb'), encoding: 'binary' });
  }

  putFor(load: Load, inFlight: number, ms: number): Promise<number> {
    return callers(inFlight, ms, async () => {
      const { key, value } = load.next();
      await this.#db.put(key, value as Buffer);
      await this.#db.flushed;
    });
  }

  async getFor(load: Load, ms: number): Promise<number> {
    const until = performance.now() + ms;
    let done = 0;
    for (; performance.now() < until; done += 1) this.#db.get(load.next().key);
    return done;
  }

  async list(): Promise<number> {
    return [...this.#db.getRange({ start: 'hosts/', end: 'hosts0' })].length;
  }

  async fill(load: Load): Promise<void> {
    for (const items of load.all(FILL_OPS)) {
      for (const { key, value } of items) void this.#db.put(key, value as Buffer);
      await this.#db.flushed;
    }
  }

  close(): Promise<void> {
    return this.#db.close();
  }
}

/** The library alone, in a folder of its own that exists. */
export function openPeer(backend: BackendName, folder: string): Subject {
  return backend === 'sqlite' ? new RawSqlite(folder) : new RawLmdb(folder);
}

/** A real etcd through our own client: what an application would call over the loopback. */
export class EtcdSubject {
  readonly #client: EtcdClient;
  readonly #signal = new AbortController().signal;

  constructor(endpoint: string) {
    // All that is in flight waits on it.
    setMaxListeners(0, this.#signal);
    this.#client = new EtcdClient({ endpoints: [endpoint] });
  }

  putFor(load: Load, inFlight: number, ms: number): Promise<number> {
    return callers(inFlight, ms, () => {
      const { key, value } = load.next();
      return this.#client.put({ key: Buffer.from(key), value }, this.#signal);
    });
  }

  getFor(load: Load, inFlight: number, ms: number): Promise<number> {
    return callers(inFlight, ms, () =>
      this.#client.range({ key: Buffer.from(load.next().key) }, this.#signal),
    );
  }

  close(): void {
    this.#client.close();
  }
}
