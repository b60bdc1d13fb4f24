/**
 * One group commit in the making: transactions are applied in order against an overlay over the batch
 * that is being committed, if there is one, and that over the durable state. So a compare-and-swap sees
 * all earlier ones.
 */
import { HoldfastError } from '../base/errors.ts';
import { keyBytes } from './key.ts';
import { encodeLogRecord } from './log.ts';
import { decodeKeyValue, encodeHead, encodeKeyValue, HEAD_KEY } from './record.ts';
import { compactionStep } from './compact.ts';
import { LeaseDraft, type LeaseMove } from './lease-draft.ts';
import type { Backend, Write } from './backend.ts';
import type { Change, ChangeSet, Condition, KeyValue, Op } from './engine.ts';
import type { Head } from './record.ts';
import type { Job } from './txn.ts';

const EMPTY = new Uint8Array(0);

export interface TxnResult {
  readonly revision: number;
  /** False when nothing was there to change; no revision was taken then. */
  readonly changed: boolean;
}

export class Batch {
  readonly #backend: Backend;
  readonly #overlay = new Map<string, KeyValue | undefined>();
  /** What was read from under this batch: a condition and the write that it guards read the same key. */
  readonly #under = new Map<string, KeyValue | undefined>();
  readonly #leases: LeaseDraft;
  readonly #logWrites: Write[] = [];
  readonly changeSets: ChangeSet[] = [];
  #head: Head;
  #dirty = false;
  /** The batch before this one while it is not durable yet. */
  #below: Batch | undefined;

  constructor(backend: Backend, head: Head, below?: Batch) {
    this.#backend = backend;
    this.#leases = new LeaseDraft(backend, below && below.#leases);
    this.#head = below?.head ?? head;
    this.#below = below;
  }

  /** The batch before this one is durable: what it wrote is read from the backend now. */
  landed(): void {
    this.#below = undefined;
    this.#leases.landed();
  }

  /** The head as it will be once this batch is durable. */
  get head(): Head {
    return this.#head;
  }

  /** @throws KeyModified, KeyExists, NotFound (a lease), TooLarge, Corrupt; the batch is then as it was before */
  apply(job: Job): TxnResult {
    if (job.type === 'txn') {
      for (const condition of job.conditions) this.#check(condition);
      return this.#change(job.ops);
    }
    if (job.type === 'grant') {
      this.#leases.grant(job.lease, job.ttlSeconds);
      return { revision: this.#head.revision, changed: false };
    }
    const keys = this.#leases.keysOf(job.lease);
    const result = this.#change(keys.map((key) => ({ type: 'delete', key })));
    this.#leases.end(job.lease);
    return result;
  }

  /** One revision, unless no op changes anything. */
  #change(ops: readonly Op[]): TxnResult {
    const revision = this.#head.revision + 1;
    const changes: Change[] = [];
    const moves: LeaseMove[] = [];
    let keys = this.#head.keys;
    for (const op of ops) {
      const before = this.#read(op.key);
      const change = changeOf(op, before, revision);
      if (!change) continue;
      changes.push(change);
      const { lease } = change.kv;
      if (lease !== before?.lease) moves.push({ key: op.key, from: before?.lease, to: lease });
      if (op.type === 'delete') keys -= 1;
      else if (!before) keys += 1;
    }
    if (changes.length === 0) return { revision: this.#head.revision, changed: false };

    this.#leases.move(moves);
    const set: ChangeSet = { revision, changes };
    const record = encodeLogRecord(set);
    for (const { type, kv } of changes) {
      this.#overlay.set(kv.key, type === 'put' ? kv : undefined);
    }
    this.#logWrites.push({ table: 'log', key: record.key, value: record.value });
    this.changeSets.push(set);
    const logBytes = this.#head.logBytes + record.value.length;
    this.#head = { ...this.#head, revision, keys, logBytes };
    this.#dirty = true;
    return { revision, changed: true };
  }

  /** Drops old log records in the same commit: by the limits, or up to `target` when that is asked for. */
  compact(target: number, durableRevision: number): void {
    const step = compactionStep(this.#backend, this.#head, target, durableRevision);
    if (!step) return;
    this.#logWrites.push(...step.writes);
    this.#head = step.head;
    this.#dirty = true;
  }

  /** Empty when nothing changed: then there is nothing to commit. */
  writes(): Write[] {
    const writes = [...this.#leases.writes];
    if (!this.#dirty) return writes;
    for (const [text, kv] of this.#overlay) {
      const key = keyBytes(text);
      writes.push({ table: 'kv', key, value: kv && encodeKeyValue(key, kv) });
    }
    writes.push(...this.#logWrites);
    writes.push({ table: 'meta', key: HEAD_KEY, value: encodeHead(this.#head) });
    return writes;
  }

  #check(condition: Condition): void {
    const found = this.#read(condition.key)?.modRevision ?? 0;
    if (found === condition.modRevision) return;
    if (condition.modRevision === 0) {
      throw new HoldfastError('KeyExists', `${condition.key} exists, at revision ${found}`, {
        hint: 'read it, or write without asking that it be new',
      });
    }
    const now = found === 0 ? 'it does not exist' : `it is at revision ${found}`;
    throw new HoldfastError(
      'KeyModified',
      `${condition.key} was expected at revision ${condition.modRevision}, ${now}`,
      { hint: 'read it again and repeat the change on what is there now' },
    );
  }

  #read(key: string): KeyValue | undefined {
    for (const known of [this.#overlay, this.#under]) {
      const kv = known.get(key);
      if (kv !== undefined || known.has(key)) return kv;
    }
    const below = this.#below && this.#below.#overlay;
    const kv = below?.has(key) ? below.get(key) : this.#readDurable(key);
    this.#under.set(key, kv);
    return kv;
  }

  #readDurable(key: string): KeyValue | undefined {
    const record = this.#backend.get('kv', keyBytes(key));
    return record && decodeKeyValue(key, record);
  }
}

/** Undefined for a delete of what is not there. */
function changeOf(op: Op, before: KeyValue | undefined, revision: number): Change | undefined {
  if (op.type === 'put') {
    const kv: KeyValue = {
      key: op.key,
      value: op.value,
      createRevision: before?.createRevision ?? revision,
      modRevision: revision,
      version: (before?.version ?? 0) + 1,
      ...(op.lease === undefined ? {} : { lease: op.lease }),
    };
    return { type: 'put', kv };
  }
  if (!before) return undefined;
  const kv = { key: op.key, value: EMPTY, createRevision: 0, modRevision: revision, version: 0 };
  return { type: 'delete', kv };
}
