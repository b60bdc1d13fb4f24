/**
 * One group commit in the making: transactions are applied in order against a draft of kv and of the
 * leases, so that each sees all earlier ones, also those that are being committed.
 */
import { keyBytes } from './key.ts';
import { KvDraft } from './kv-draft.ts';
import { encodeLogRecord, type LoggedChange, type LoggedSet } from './log.ts';
import {
  decodeIdentity,
  encodeHead,
  encodeIdentity,
  encodeKeyValue,
  FORMAT,
  HEAD_KEY,
  IDENTITY_KEY,
  type Head,
  type Stored,
} from './record.ts';
import { compactionStep } from './compact.ts';
import { holds } from './compare.ts';
import { LeaseDraft, type LeaseMove } from './lease-draft.ts';
import { PREVIOUS_BYTES_MAX } from './limits.ts';
import { rangeOf, type KeySpan } from './span.ts';
import { TxnBudget } from './txn-budget.ts';
import type { Backend, Write } from './backend.ts';
import type { KeyValue } from './engine.ts';
import type { RecentRecords } from './recent.ts';
import type { Bounds } from './retention.ts';
import type { GetResult, TxnOpResult } from './transaction.ts';
import type { CheckedCompare, CheckedOp, Job, Txn } from './txn.ts';

const EMPTY = new Uint8Array(0);

export interface TxnResult {
  readonly revision: number;
  /** False when nothing was there to change; no revision was taken then. */
  readonly changed: boolean;
  readonly results: readonly TxnOpResult[];
  /** The first compare that did not hold, and the first key it did not hold for. */
  readonly failed?: FailedCompare | undefined;
}

export interface FailedCompare {
  readonly index: number;
  /** Undefined: no key of its span is there. */
  readonly kv: KeyValue | undefined;
}

/** What one transaction has done so far. */
interface Progress {
  readonly revision: number;
  readonly budget: TxnBudget;
  readonly changes: LoggedChange[];
  readonly moves: LeaseMove[];
  /** Of the records before. */
  previousBytes: number;
  /** Keys more, or less, than before. */
  keys: number;
}

export class Batch {
  readonly #backend: Backend;
  readonly #kv: KvDraft;
  readonly #leases: LeaseDraft;
  readonly #logWrites: Write[] = [];
  readonly changeSets: LoggedSet[] = [];
  #head: Head;
  #dirty = false;
  #extraWeight = 0;
  #extraBytes = 0;
  readonly #logBytesBefore: number;
  #deletedBytes = 0;

  /** @param below the batch before this one while it is not durable yet */
  constructor(backend: Backend, head: Head, recent: RecentRecords, below?: Batch) {
    this.#backend = backend;
    this.#kv = new KvDraft(backend, recent, below && below.#kv);
    this.#leases = new LeaseDraft(backend, below && below.#leases);
    this.#head = below?.head ?? head;
    this.#logBytesBefore = this.#head.logBytes;
  }

  /** The batch before this one is durable: what it wrote is read from the backend now. */
  landed(): void {
    this.#kv.landed();
    this.#leases.landed();
  }

  /** This one is. */
  committed(): void {
    this.#kv.committed();
  }

  /** The head as it will be once this batch is durable. */
  get head(): Head {
    return this.#head;
  }

  /** Keys met by prefixes and ranges, which the weights of the jobs don't know. */
  get extraWeight(): number {
    return this.#extraWeight;
  }

  /** Previous records in the log, which the bytes of the jobs don't know. */
  get extraBytes(): number {
    return this.#extraBytes;
  }

  /** @throws NotFound (a lease), TooLarge, Corrupt; the batch is then as it was before */
  apply(job: Job): TxnResult {
    try {
      const result = this.#apply(job);
      this.#kv.keep();
      return result;
    } catch (thrown) {
      this.#kv.drop();
      throw thrown;
    }
  }

  #apply(job: Job): TxnResult {
    if (job.type === 'txn') return this.#transact(job);
    if (job.type === 'grant') {
      this.#leases.grant(job.lease, job.ttlSeconds);
      return { revision: this.#head.revision, changed: false, results: [] };
    }
    const keys = this.#leases.keysOf(job.lease);
    const ops = keys.map((key) => {
      return { type: 'delete', span: { type: 'key', key }, previous: false } as const;
    });
    const result = this.#change(ops, new TxnBudget());
    this.#leases.end(job.lease);
    return result;
  }

  #transact(txn: Txn): TxnResult {
    const budget = new TxnBudget();
    for (let index = 0; index < txn.compares.length; index += 1) {
      const failing = this.#failing(txn.compares[index]!, budget);
      if (failing) return { ...this.#change(txn.else, budget), failed: { index, ...failing } };
    }
    return this.#change(txn.then, budget);
  }

  /** The first key that the compare doesn't hold for. */
  #failing(compare: CheckedCompare, budget: TxnBudget): { kv: KeyValue | undefined } | undefined {
    if (compare.span.type === 'key') {
      const kv = this.#kv.get(compare.span.key)?.kv;
      return holds(compare, kv) ? undefined : { kv };
    }
    let isEmpty = true;
    for (const { kv } of this.#kv.range(compare.span)) {
      isEmpty = false;
      budget.meet(kv);
      if (!holds(compare, kv)) return { kv };
    }
    return isEmpty && !holds(compare, undefined) ? { kv: undefined } : undefined;
  }

  /** One revision, unless no op changes anything. */
  #change(ops: readonly CheckedOp[], budget: TxnBudget): TxnResult {
    const revision = this.#head.revision + 1;
    const progress = { revision, budget, changes: [], moves: [], previousBytes: 0, keys: 0 };
    const results = ops.map((op) => this.#act(op, progress));
    this.#extraWeight += budget.keys;
    if (progress.changes.length === 0) {
      return { revision: this.#head.revision, changed: false, results };
    }
    this.#leases.move(progress.moves);
    const set: LoggedSet = { revision, changes: progress.changes };
    const record = encodeLogRecord(set);
    this.#logWrites.push({ table: 'log', key: record.key, value: record.value });
    this.changeSets.push(set);
    this.#extraBytes += progress.previousBytes;
    this.#head = {
      ...this.#head,
      revision,
      keys: this.#head.keys + progress.keys,
      logBytes: this.#head.logBytes + record.value.length,
    };
    this.#dirty = true;
    return { revision, changed: true, results };
  }

  #act(op: CheckedOp, progress: Progress): TxnOpResult {
    switch (op.type) {
      case 'put': {
        const before = this.#kv.get(op.key);
        this.#put(op, before, progress);
        if (!op.previous || !before) return { type: 'put' };
        progress.budget.carry(before.kv);
        return { type: 'put', previous: copyOf(before.kv) };
      }
      case 'delete': {
        const found = this.#find(op.span, Infinity, progress.budget);
        for (const stored of found.stored) this.#delete(stored, progress);
        const deleted = found.stored.length;
        if (!op.previous) return { type: 'delete', deleted };
        return { type: 'delete', deleted, previous: answered(found.stored, op.span, progress) };
      }
      case 'get': {
        const { stored, more } = this.#find(op.span, op.limit, progress.budget);
        return { type: 'get', kvs: answered(stored, op.span, progress), more };
      }
    }
  }

  #put(op: CheckedOp & { type: 'put' }, before: Stored | undefined, progress: Progress): void {
    const { key, value, lease } = op;
    const { revision } = progress;
    const kv: KeyValue = {
      key,
      value,
      createRevision: before?.kv.createRevision ?? revision,
      modRevision: revision,
      version: (before?.kv.version ?? 0) + 1,
      ...(lease === undefined ? {} : { lease }),
    };
    const from = before?.kv.lease;
    if (lease !== from) progress.moves.push({ key, from, to: lease });
    if (!before) progress.keys += 1;
    log(progress, 'put', kv, before);
    this.#kv.set(key, { kv, record: encodeKeyValue(keyBytes(key), kv) });
  }

  #delete(before: Stored, progress: Progress): void {
    const { key, lease } = before.kv;
    const { revision } = progress;
    this.#deletedBytes += before.record.length;
    if (lease !== undefined) progress.moves.push({ key, from: lease, to: undefined });
    progress.keys -= 1;
    const kv = { key, value: EMPTY, createRevision: 0, modRevision: revision, version: 0 };
    log(progress, 'delete', kv, before);
    this.#kv.set(key, undefined);
  }

  /** In key order. */
  #find(span: KeySpan, limit: number, budget: TxnBudget): Found {
    if (span.type === 'key') {
      const one = this.#kv.get(span.key);
      return { stored: one ? [one] : [], more: false };
    }
    const stored: Stored[] = [];
    for (const one of this.#kv.range(rangeOf(span))) {
      if (stored.length === limit) return { stored, more: true };
      budget.meet(one.kv);
      stored.push(one);
    }
    return { stored, more: false };
  }

  /** About what the store has less to hold once this is durable: what was deleted, and what the log lost. */
  get freedBytes(): number {
    return this.#deletedBytes + this.#logBytesBefore - this.#head.logBytes;
  }

  /** Goes with the batch's own writes. */
  add(writes: readonly Write[]): void {
    this.#logWrites.push(...writes);
  }

  /** Drops old log records in the same commit. */
  compact(bounds: Bounds, durableRevision: number): void {
    const step = compactionStep(this.#backend, this.#head, bounds, durableRevision);
    if (!step) return;
    this.#logWrites.push(...step.writes);
    this.#head = step.head;
    this.#dirty = true;
  }

  /** Empty when nothing changed: then there is nothing to commit. */
  writes(): Write[] {
    const writes = [...this.#leases.writes];
    if (this.#dirty) {
      writes.push(...this.#kv.writes(), ...this.#logWrites);
      writes.push({ table: 'meta', key: HEAD_KEY, value: encodeHead(this.#head) });
    }
    if (writes.length > 0 && this.#head.format < FORMAT) writes.push(this.#raiseFormat());
    return writes;
  }

  /** A store of an older format is one of ours from its first commit on. */
  #raiseFormat(): Write {
    const incarnation = decodeIdentity(this.#backend.get('meta', IDENTITY_KEY));
    this.#head = { ...this.#head, format: FORMAT };
    return { table: 'meta', key: IDENTITY_KEY, value: encodeIdentity(incarnation) };
  }
}

interface Found {
  readonly stored: readonly Stored[];
  readonly more: boolean;
}

/** With the record before, as long as the log record has room for it. */
function log(
  progress: Progress,
  type: 'put' | 'delete',
  kv: KeyValue,
  before: Stored | undefined,
): void {
  const bytes = before?.record.length ?? 0;
  const isKept = progress.previousBytes + bytes <= PREVIOUS_BYTES_MAX;
  if (isKept) progress.previousBytes += bytes;
  progress.changes.push({ change: { type, kv }, previous: isKept ? before?.record : undefined });
}

/** What a range has met was counted then. */
function answered(
  stored: readonly Stored[],
  span: KeySpan,
  { budget }: Progress,
): GetResult['kvs'] {
  return stored.map(({ kv }) => {
    if (span.type === 'key') budget.carry(kv);
    return copyOf(kv);
  });
}

/** The caller's own bytes: ours go on into the log. */
function copyOf(kv: KeyValue): KeyValue {
  return { ...kv, value: new Uint8Array(kv.value) };
}
