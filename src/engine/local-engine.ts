/** The engine over any backend; its promises are in engine.ts. */
import { HoldfastError } from '../base/errors.ts';
import { systemClock, type Clock } from '../base/clock.ts';
import { keyAfter, keyBytes, normalizeKey, normalizePrefix, prefixRange } from './key.ts';
import { LeaseKeeper } from './lease.ts';
import { corrupt, decodeLogRecord, logKey } from './log.ts';
import { decodeKeyValue } from './record.ts';
import { recover, type Recovered } from './recover.ts';
import { checkTxn } from './txn.ts';
import { WatchHub } from './watch.ts';
import { closedError, Writer } from './writer.ts';
import {
  CHANGES_BYTES_MAX,
  CHANGES_REVISIONS_MAX,
  WATCH_READ_BYTES,
  WATCH_READ_REVISIONS,
} from './limits.ts';
import type { Backend, RangeQuery } from './backend.ts';
import type {
  ChangeSet,
  Condition,
  Engine,
  EngineStats,
  KeyValue,
  Leases,
  ListOptions,
  ListResult,
  Op,
  PutOptions,
  Watch,
  WatchOptions,
  WriteOptions,
} from './engine.ts';
import type { Transaction, TransactionResult } from './transaction.ts';

export class LocalEngine implements Engine {
  readonly incarnation: string;
  readonly #backend: Backend;
  readonly #path: string;
  readonly #writer: Writer;
  readonly #hub: WatchHub;
  readonly #leases: LeaseKeeper;
  #closing: Promise<void> | undefined;

  /** Opens over a backend, which it then owns. @throws Corrupt, StateMismatch; the backend is closed then */
  static async over(backend: Backend, path: string, clock = systemClock): Promise<LocalEngine> {
    try {
      return new LocalEngine(backend, path, recover(backend), clock);
    } catch (thrown) {
      await backend.close();
      throw thrown;
    }
  }

  private constructor(backend: Backend, path: string, found: Recovered, clock: Clock) {
    this.incarnation = found.incarnation;
    this.#backend = backend;
    this.#path = path;
    this.#hub = new WatchHub((after) =>
      this.#readLog(after, WATCH_READ_REVISIONS, WATCH_READ_BYTES),
    );
    this.#writer = new Writer(backend, found.head, {
      publish: (changeSets) => this.#hub.publish(changeSets),
      resync: (revision) => this.#hub.resync(revision),
      recheckLeases: () => this.#leases.recheck(),
    });
    this.#leases = new LeaseKeeper({
      backend,
      writer: this.#writer,
      clock,
      found: found.leases,
      assertOpen: () => this.#assertOpen(),
    });
  }

  get revision(): number {
    return this.#writer.head.revision;
  }

  get leases(): Leases {
    return this.#leases;
  }

  async get(key: string): Promise<KeyValue | undefined> {
    this.#assertOpen();
    const bytes = keyBytes(normalizeKey(key));
    const record = this.#backend.get('kv', bytes);
    return record && decodeKeyValue(bytes, record);
  }

  async list(prefix: string, options: ListOptions = {}): Promise<ListResult> {
    this.#assertOpen();
    const { from, before } = prefixRange(normalizePrefix(prefix));
    const limit = checkLimit(options.limit);
    const start = options.after === undefined ? from : keyAfter(normalizeKey(options.after));
    const query: RangeQuery = {
      table: 'kv',
      from: Buffer.compare(start, from) > 0 ? start : from,
      before,
      limit: limit === Infinity ? Number.MAX_SAFE_INTEGER : limit + 1,
      bytesMax: Infinity,
    };
    const { revision } = this;
    const entries = this.#backend.range(query);
    const more = entries.length > limit;
    if (more) entries.pop();
    return { kvs: entries.map(({ key, value }) => decodeKeyValue(key, value)), revision, more };
  }

  async put(key: string, value: Uint8Array, options: PutOptions = {}): Promise<number> {
    const conditions = conditionsOf(key, options);
    return this.txn(conditions, [{ type: 'put', key, value, lease: options.lease }]);
  }

  async delete(key: string, options: WriteOptions = {}): Promise<number | undefined> {
    const conditions = conditionsOf(key, options);
    const result = await this.#writer.submit(checkTxn(conditions, [{ type: 'delete', key }]));
    return result.changed ? result.revision : undefined;
  }

  async txn(conditions: readonly Condition[], ops: readonly Op[]): Promise<number> {
    const result = await this.#writer.submit(checkTxn(conditions, ops));
    return result.revision;
  }

  transact(_transaction: Transaction): Promise<TransactionResult> {
    throw new Error('in the making');
  }

  watch(prefix: string, options: WatchOptions): Watch {
    this.#assertOpen();
    const { from } = options;
    if (from !== undefined && (!Number.isSafeInteger(from) || from < 1)) {
      throw new HoldfastError(
        'InvalidArgument',
        `cannot watch from revision ${String(from)}: revisions are whole numbers from 1`,
      );
    }
    // Where it stands is fixed now, not at the first read: nothing written in between is missed.
    const position = from === undefined ? this.revision : from - 1;
    const sets = this.#hub.watch(normalizePrefix(prefix), position, options.signal);
    return Object.assign(sets, { requestProgress: (): void => undefined });
  }

  async changes(afterRevision: number, limit: number): Promise<readonly ChangeSet[]> {
    if (!Number.isSafeInteger(afterRevision) || afterRevision < 0) {
      throw new HoldfastError(
        'InvalidArgument',
        `cannot read changes after revision ${String(afterRevision)}`,
      );
    }
    const most = Math.min(checkLimit(limit), CHANGES_REVISIONS_MAX);
    return this.#readLog(afterRevision, most, CHANGES_BYTES_MAX);
  }

  async compact(revision: number): Promise<void> {
    if (!Number.isSafeInteger(revision) || revision < 0 || revision > this.revision) {
      throw new HoldfastError(
        'InvalidArgument',
        `cannot compact up to revision ${String(revision)}: the last one is ${this.revision}`,
      );
    }
    await this.#writer.compact(revision);
  }

  async stats(): Promise<EngineStats> {
    this.#assertOpen();
    const { revision, compacted, keys } = this.#writer.head;
    return {
      backend: this.#backend.name,
      path: this.#path,
      revision,
      compactedRevision: compacted,
      keys,
      logEntries: revision - compacted,
      sizeBytes: this.#backend.sizeBytes(),
    };
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await Promise.all([this.#leases.close(), this.#writer.close()]);
    this.#hub.close(closedError());
    await this.#backend.close();
  }

  #assertOpen(): void {
    if (this.#closing) throw closedError();
  }

  #readLog(after: number, limit: number, bytesMax: number): ChangeSet[] {
    this.#assertOpen();
    const { revision, compacted } = this.#writer.head;
    if (after < compacted) {
      throw new HoldfastError(
        'Compacted',
        `revision ${after + 1} is gone from the change log, it begins at ${compacted + 1}`,
        { hint: 'list what is there now, then go on from the revision of that list' },
      );
    }
    if (after >= revision) return [];
    const query: RangeQuery = {
      table: 'log',
      from: logKey(after + 1),
      before: logKey(revision + 1),
      limit,
      bytesMax,
    };
    const sets = this.#backend.range(query).map(({ key, value }) => decodeLogRecord(key, value));
    for (const [i, set] of sets.entries()) {
      if (set.revision !== after + 1 + i) throw corrupt(`log record ${after + 1 + i} is missing`);
    }
    if (sets.length === 0 && limit > 0) throw corrupt(`log record ${after + 1} is missing`);
    return sets;
  }
}

function conditionsOf(key: string, options: WriteOptions): Condition[] {
  return options.ifRevision === undefined ? [] : [{ key, modRevision: options.ifRevision }];
}

function checkLimit(limit: number | undefined): number {
  if (limit === undefined) return Infinity;
  if (Number.isSafeInteger(limit) && limit > 0) return limit;
  throw new HoldfastError(
    'InvalidArgument',
    `the limit ${String(limit)} is not a whole number from 1`,
  );
}
