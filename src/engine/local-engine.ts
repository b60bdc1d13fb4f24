/** The engine over any backend; its promises are in engine.ts. */
import { HoldfastError } from '../base/errors.ts';
import { systemClock, type Clock } from '../base/clock.ts';
import { History } from './history.ts';
import { normalizeKey } from './key.ts';
import { LeaseKeeper } from './lease.ts';
import { isCut, pageOf } from './list-page.ts';
import { readLog } from './log-reader.ts';
import { decodeKeyValue, shownSet } from './record.ts';
import { checkDurability, passCeiling } from './relaxed.ts';
import { readStoredHead, recover, type Recovered } from './recover.ts';
import { checkHold, Retention } from './retention.ts';
import { checkSpan, rangeAfter, rangeOf } from './span.ts';
import { checkLimit, checkTransaction, checkTxn } from './txn.ts';
import { WatchHub } from './watch.ts';
import { closedError, Writer } from './writer.ts';
import {
  CHANGES_BYTES_MAX,
  CHANGES_REVISIONS_MAX,
  HISTORY_MS_DEFAULT,
  WATCH_PROGRESS_MS_MIN,
  WATCH_READ_BYTES,
  WATCH_READ_REVISIONS,
} from './limits.ts';
import type { Backend, ScanQuery } from './backend.ts';
import type { FailedCompare, TxnResult } from './batch.ts';
import type { OpenFiles } from './backends/open-files.ts';
import type { Reserve } from './reserve.ts';
import type {
  ChangeSet,
  CompactOptions,
  Compaction,
  Condition,
  Engine,
  EngineStats,
  GetOptions,
  KeyValue,
  Leases,
  ListOptions,
  ListResult,
  Op,
  PutOptions,
  Span,
  Watch,
  WatchOptions,
  TxnOptions,
  WriteDurability,
  WriteOptions,
} from './engine.ts';
import type { LoggedSet } from './log.ts';
import type { Transaction, TransactionResult } from './transaction.ts';

/** What an engine over files has beyond its backend. */
export interface EngineParts {
  readonly clock?: Clock | undefined;
  /** Of writes that don't say. */
  readonly durability?: WriteDurability | undefined;
  readonly historyMs?: number | undefined;
  readonly holders?: readonly string[] | undefined;
  readonly reserve?: Reserve | undefined;
  readonly files?: OpenFiles | undefined;
}

export class LocalEngine implements Engine {
  readonly incarnation: string;
  readonly #backend: Backend;
  readonly #path: string;
  readonly #writer: Writer;
  readonly #hub: WatchHub;
  readonly #leases: LeaseKeeper;
  readonly #history: History;
  readonly #durability: WriteDurability;
  readonly #retention: Retention;
  readonly #reserve: Reserve | undefined;
  readonly #files: OpenFiles | undefined;
  #closing: Promise<void> | undefined;

  /** Opens over a backend, which it then owns. @throws Corrupt, StateMismatch; the backend is closed then */
  static async over(backend: Backend, path: string, parts: EngineParts = {}): Promise<LocalEngine> {
    try {
      const found = recover(backend);
      const { ceiling } = found;
      const head =
        ceiling === undefined ? found.head : await passCeiling(backend, found.head, ceiling);
      return new LocalEngine(backend, path, { ...found, head }, parts);
    } catch (thrown) {
      await backend.close();
      throw thrown;
    }
  }

  private constructor(backend: Backend, path: string, found: Recovered, parts: EngineParts) {
    const { clock = systemClock, durability = 'commit' } = parts;
    const { historyMs = HISTORY_MS_DEFAULT, holders = [] } = parts;
    checkDurability(durability);
    this.#durability = durability;
    this.incarnation = found.incarnation;
    this.#backend = backend;
    this.#path = path;
    this.#history = new History(backend, () => this.#assertOpen());
    this.#hub = new WatchHub({
      readLog: (after) => this.#readLog(after, WATCH_READ_REVISIONS, WATCH_READ_BYTES),
      revision: () => this.revision,
      clock,
    });
    const { marks, head } = found;
    const { revision } = head;
    this.#retention = new Retention({ marks, revision, clock, historyMs, holders });
    this.#reserve = parts.reserve;
    this.#files = parts.files;
    this.#writer = new Writer(backend, head, {
      listener: {
        publish: (changeSets) => this.#hub.publish(changeSets),
        resync: (revision) => this.#hub.resync(revision),
        recheckLeases: () => this.#leases.recheck(),
      },
      retention: this.#retention,
      reserve: this.#reserve,
      clock,
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

  async get(key: string, options: GetOptions = {}): Promise<KeyValue | undefined> {
    this.#assertOpen();
    const name = normalizeKey(key);
    const { revision } = options;
    if (revision !== undefined) return this.#history.get(name, checkRevision(revision));
    return this.#backend.find(name, (record, lent) => decodeKeyValue(name, record, lent));
  }

  async list(span: string | Span, options: ListOptions = {}): Promise<ListResult> {
    this.#assertOpen();
    const { after, revision: asOf } = options;
    const whole = rangeOf(checkSpan(span));
    const range = after === undefined ? whole : rangeAfter(whole, normalizeKey(after));
    const limit = checkLimit(options.limit);
    const bytesMax = checkLimit(options.bytesMax);
    if (asOf !== undefined) {
      const limits = { limit, bytesMax };
      return { ...(await this.#history.list(range, checkRevision(asOf), limits)), revision: asOf };
    }
    return this.#backend.read(() => {
      const { revision } = readStoredHead(this.#backend);
      const most = limit === Infinity ? Number.MAX_SAFE_INTEGER : limit + 1;
      const query = { ...range, limit: most };
      const { kvs, cut } = this.#read(query, bytesMax);
      const page = pageOf(kvs, { limit, bytesMax });
      return { ...page, more: page.more || cut, revision };
    });
  }

  /** Within a `read`. */
  #read(query: ScanQuery, bytesMax: number): { kvs: KeyValue[]; cut: boolean } {
    const kvs: KeyValue[] = [];
    if (bytesMax === Infinity) {
      this.#backend.scan(query, (key, record, lent) => kvs.push(decodeKeyValue(key, record, lent)));
      return { kvs, cut: false };
    }
    const entries = this.#backend.range({ table: 'kv', ...query, bytesMax });
    for (const { key, value } of entries) kvs.push(decodeKeyValue(key, value));
    return { kvs, cut: isCut(entries, bytesMax) };
  }

  async put(key: string, value: Uint8Array, options: PutOptions = {}): Promise<number> {
    const conditions = conditionsOf(key, options);
    const ops = [{ type: 'put', key, value, lease: options.lease } as const];
    return (await this.#allOrNothing(conditions, ops, options)).revision;
  }

  async delete(key: string, options: WriteOptions = {}): Promise<number | undefined> {
    const conditions = conditionsOf(key, options);
    const result = await this.#allOrNothing(conditions, [{ type: 'delete', key }], options);
    return result.changed ? result.revision : undefined;
  }

  async txn(
    conditions: readonly Condition[],
    ops: readonly Op[],
    options: TxnOptions = {},
  ): Promise<number> {
    return (await this.#allOrNothing(conditions, ops, options)).revision;
  }

  async transact(transaction: Transaction): Promise<TransactionResult> {
    const job = checkTransaction(transaction, this.#durability);
    const { revision, results, failed } = await this.#writer.submit(job);
    return { succeeded: failed === undefined, revision, results };
  }

  /** @throws KeyModified, KeyExists for the first condition that fails */
  async #allOrNothing(
    conditions: readonly Condition[],
    ops: readonly Op[],
    { durability = this.#durability }: TxnOptions,
  ): Promise<TxnResult> {
    const result = await this.#writer.submit(checkTxn(conditions, ops, durability));
    if (result.failed) throw conditionFailed(conditions[result.failed.index]!, result.failed);
    return result;
  }

  watch(span: string | Span, options: WatchOptions): Watch {
    this.#assertOpen();
    const { from, previousValues = false, only, progressMs, signal } = options;
    if (from !== undefined && (!Number.isSafeInteger(from) || from < 1)) {
      throw new HoldfastError(
        'InvalidArgument',
        `cannot watch from revision ${String(from)}: revisions are whole numbers from 1`,
      );
    }
    if (progressMs !== undefined && !(progressMs >= WATCH_PROGRESS_MS_MIN)) {
      throw new HoldfastError(
        'InvalidArgument',
        `progress every ${String(progressMs)} ms: at least ${WATCH_PROGRESS_MS_MIN} are between`,
      );
    }
    // Where it stands is fixed now, not at the first read: nothing written in between is missed.
    const position = from === undefined ? this.revision : from - 1;
    const wanted = { span: checkSpan(span), previousValues, only, progressMs };
    return this.#hub.watch(wanted, position, signal);
  }

  async changes(afterRevision: number, limit: number): Promise<readonly ChangeSet[]> {
    if (!Number.isSafeInteger(afterRevision) || afterRevision < 0) {
      throw new HoldfastError(
        'InvalidArgument',
        `cannot read changes after revision ${String(afterRevision)}`,
      );
    }
    const most = Math.min(checkLimit(limit), CHANGES_REVISIONS_MAX);
    return this.#readLog(afterRevision, most, CHANGES_BYTES_MAX).map(shownSet);
  }

  async compact(revision: number, options: CompactOptions = {}): Promise<Compaction> {
    if (!Number.isSafeInteger(revision) || revision < 0 || revision > this.revision) {
      throw new HoldfastError(
        'InvalidArgument',
        `cannot compact up to revision ${String(revision)}: the last one is ${this.revision}`,
      );
    }
    const heldBy = options.overHolds ? undefined : this.#retention.heldBy(revision);
    await this.#writer.compact(heldBy?.revision ?? revision);
    const compactedRevision = this.#writer.head.compacted;
    return { compactedRevision, ...(heldBy && { heldBy }) };
  }

  hold(name: string, revision: number | undefined): void {
    this.#assertOpen();
    checkHold(name, revision);
    this.#retention.hold(name, revision);
  }

  async stats(): Promise<EngineStats> {
    this.#assertOpen();
    const { head } = this.#writer;
    const { revision, compacted, keys, logBytes } = head;
    const reserve = this.#reserve?.status;
    const problem = this.#files?.problem();
    return {
      backend: this.#backend.name,
      path: this.#path,
      revision,
      compactedRevision: compacted,
      keys,
      logEntries: revision - compacted,
      logBytes,
      oldestAgeMs: this.#retention.oldestAgeMs(head),
      holds: this.#retention.holds(),
      heldBy: this.#retention.heldBy(this.#retention.agedRevision),
      sizeBytes: this.#backend.sizeBytes(),
      reserveBytes: reserve?.bytes ?? 0,
      refusesPuts: reserve?.out ?? false,
      ...(problem === undefined ? {} : { problem }),
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

  #readLog(after: number, limit: number, bytesMax: number): LoggedSet[] {
    this.#assertOpen();
    return readLog(this.#backend, { after, limit, bytesMax });
  }
}

function conditionsOf(key: string, options: WriteOptions): Condition[] {
  return options.ifRevision === undefined ? [] : [{ key, modRevision: options.ifRevision }];
}

function conditionFailed({ key, modRevision }: Condition, { kv }: FailedCompare): HoldfastError {
  if (modRevision === 0) {
    return new HoldfastError('KeyExists', `${key} exists, at revision ${kv?.modRevision}`, {
      hint: 'read it, or write without asking that it be new',
    });
  }
  const now = kv ? `it is at revision ${kv.modRevision}` : 'it does not exist';
  return new HoldfastError(
    'KeyModified',
    `${key} was expected at revision ${modRevision}, ${now}`,
    { hint: 'read it again and repeat the change on what is there now' },
  );
}

function checkRevision(revision: number): number {
  if (Number.isSafeInteger(revision) && revision >= 0) return revision;
  throw new HoldfastError(
    'InvalidArgument',
    `the revision ${String(revision)} is not a whole number from 0`,
  );
}
