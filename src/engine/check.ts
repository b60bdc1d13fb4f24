/**
 * Holds a whole store against its own invariants (log.ts). Reads only, a page at a time, so a store of
 * any size takes the same memory; nothing it meets stops it but a table that can't be read on.
 *
 * Looked at: the identity and the head; that the log goes from compacted + 1 to revision without a gap,
 * every record whole; that every record of kv is whole, in order, found by its key, with revisions that
 * can be; that head counts what is there; that the log's last word on each key is what kv has, and that
 * each value younger than the compaction has its log record; that the previous records in the log are what
 * the log says of their keys before; that leases and the keys under them name each other.
 */
import { crc32 } from 'node:zlib';
import { MiB } from '../base/bytes.ts';
import { messageOf } from '../base/errors.ts';
import { keyBytes, keyText, normalizeKey } from './key.ts';
import { checkMember, hasGrant, leaseOf, memberKey } from './lease-record.ts';
import { PreviousCheck } from './check-previous.ts';
import { decodeLogRecord, logKey, readU64, type LoggedChange, type LoggedSet } from './log.ts';
import { readCeiling } from './relaxed.ts';
import { decodeIdentity, decodeKeyValue, encodeKeyValue, IDENTITY_KEY } from './record.ts';
import { readStoredHead } from './recover.ts';
import type { Backend, Entry, Table } from './backend.ts';
import type { Change, KeyValue } from './engine.ts';
import type { StoredHead } from './record.ts';

/** Findings kept: who meets more reads the first ones, and the count. */
export const FINDINGS_MAX = 100;
/** Entries, and bytes, read at a time. */
const PAGE_ENTRIES = 256;
const PAGE_BYTES_MAX = 4 * MiB;
/** Keys that wait for the record that deletes them. A log with more is read again for each share of it. */
const WAITING_BYTES_MAX = 16 * MiB;
/** What a waiting key costs beside its own bytes, with what the log said of it last. */
const WAITING_ENTRY_BYTES = 160;

/** `warning`: no read comes out wrong because of it. */
export interface Finding {
  readonly severity: 'error' | 'warning';
  readonly what: string;
  /** The record: `meta head`, `log 17`, `kv "a/b"`; or the file. */
  readonly where: string;
}

export interface CheckReport {
  /** Undefined when their records can't be read. */
  readonly incarnation: string | undefined;
  readonly revision: number | undefined;
  readonly compacted: number | undefined;
  /** As counted, whatever the head says. */
  readonly keys: number;
  readonly logRecords: number;
  readonly errors: number;
  readonly warnings: number;
  /** The first FINDINGS_MAX. */
  readonly findings: readonly Finding[];
}

export interface CheckOptions {
  readonly findingsMax?: number | undefined;
  /** Called after each page; the log is read twice. */
  readonly onProgress?: ((table: Table, entries: number) => void) | undefined;
}

export function checkStore(backend: Backend, options: CheckOptions = {}): CheckReport {
  return new Check(backend, options).run();
}

/** Counts all, keeps the first. */
export class Findings {
  readonly kept: Finding[] = [];
  readonly #max: number;
  errors = 0;
  warnings = 0;

  constructor(max = FINDINGS_MAX) {
    this.#max = max;
  }

  add(where: string, what: string, severity: Finding['severity'] = 'error'): void {
    if (severity === 'error') this.errors += 1;
    else this.warnings += 1;
    if (this.kept.length < this.#max) this.kept.push({ severity, what, where });
  }
}

class Check {
  readonly #backend: Backend;
  readonly #findings: Findings;
  readonly #onProgress: (table: Table, entries: number) => void;
  #keys = 0;
  #logRecords = 0;
  #logBytes = 0;
  /** What a waiting set of all changes would take. */
  #waitingBytes = 0;
  /** Keys of kv that are younger than the compaction, and those of them that the log vouches for. */
  #young = 0;
  #vouched = 0;

  constructor(backend: Backend, { findingsMax, onProgress }: CheckOptions) {
    this.#backend = backend;
    this.#findings = new Findings(findingsMax);
    this.#onProgress = onProgress ?? (() => undefined);
  }

  run(): CheckReport {
    const incarnation = this.#try('meta identity', () =>
      decodeIdentity(this.#backend.get('meta', IDENTITY_KEY)),
    );
    const head = this.#try('meta head', () => readStoredHead(this.#backend));
    if (head && head.compacted > head.revision) {
      const { compacted, revision } = head;
      this.#findings.add('meta head', `compacted up to ${compacted}, the revision is ${revision}`);
    }
    this.#try('meta ceiling', () => readCeiling(this.#backend));
    this.#checkLog(head);
    this.#checkKeys(head);
    this.#checkLeases();
    if (head) {
      this.#checkAgreement(head);
      this.#compareCounts(head);
      if (this.#young !== this.#vouched) this.#nameUnvouched(head);
    }
    const { errors, warnings, kept } = this.#findings;
    return {
      incarnation,
      revision: head?.revision,
      compacted: head?.compacted,
      keys: this.#keys,
      logRecords: this.#logRecords,
      errors,
      warnings,
      findings: kept,
    };
  }

  #checkLog(head: StoredHead | undefined): void {
    let next = head && head.compacted + 1;
    for (const entry of this.#scan('log')) {
      const revision = revisionOf(entry);
      this.#logRecords += 1;
      this.#logBytes += entry.value.length;
      const set = this.#try(`log ${revision}`, () => decodeLogRecord(entry.key, entry.value));
      if (set) this.#checkSet(set);
      if (!head || next === undefined) continue;
      if (revision <= head.compacted) {
        this.#findings.add(
          `log ${revision}`,
          `left over: compacted up to ${head.compacted}`,
          'warning',
        );
        continue;
      }
      if (revision > head.revision) {
        this.#findings.add(`log ${revision}`, `beyond the last revision ${head.revision}`);
        continue;
      }
      if (revision !== next) this.#findings.add(`log ${next}`, missing(next, revision - 1));
      next = revision + 1;
    }
    if (head && next !== undefined && next <= head.revision) {
      this.#findings.add(`log ${next}`, missing(next, head.revision));
    }
  }

  #checkSet({ revision, changes }: LoggedSet): void {
    if (changes.length === 0) this.#findings.add(`log ${revision}`, 'holds no change');
    for (const { change } of changes) {
      const { type, kv } = change;
      this.#waitingBytes += kv.key.length + WAITING_ENTRY_BYTES;
      const wrong = type === 'put' ? wrongRevisions(kv) : undefined;
      if (wrong) this.#findings.add(`log ${revision}`, `${JSON.stringify(kv.key)}: ${wrong}`);
    }
  }

  #checkKeys(head: StoredHead | undefined): void {
    for (const { key, value } of this.#scan('kv')) {
      const where = whereOf(key);
      this.#keys += 1;
      const kv = this.#try(where, () => decodeKeyValue(key, value));
      if (!kv) continue;
      this.#checkKey(where, key, kv);
      if (!head) continue;
      if (kv.modRevision > head.compacted) this.#young += 1;
      if (kv.modRevision <= head.revision) continue;
      this.#findings.add(where, `at revision ${kv.modRevision}, the store is at ${head.revision}`);
    }
  }

  #checkKey(where: string, key: Uint8Array, kv: KeyValue): void {
    const wrong = wrongRevisions(kv);
    if (wrong) this.#findings.add(where, wrong);
    this.#try(where, () => {
      if (normalizeKey(kv.key) === kv.key && Buffer.compare(keyBytes(kv.key), key) === 0) return;
      this.#findings.add(where, 'is not a key as the engine writes them');
    });
    const { lease } = kv;
    if (lease !== undefined && !this.#backend.get('meta', memberKey(lease, kv.key))) {
      this.#findings.add(where, `is under lease ${lease}, which does not name it`);
    }
    const found = this.#try(where, () => this.#backend.get('kv', key) !== undefined);
    if (found === false) this.#findings.add(where, 'is listed, but not found by its key');
  }

  #checkLeases(): void {
    for (const { key: record, value } of this.#scan('meta')) {
      const lease = leaseOf(record);
      if (!lease) continue;
      const { id, key } = lease;
      const where = `meta lease ${id}`;
      const isGranted = this.#try(where, () => hasGrant(this.#backend, id));
      if (key === undefined) continue;
      this.#try(where, () => checkMember(record, value));
      const name = JSON.stringify(key);
      if (isGranted === false) this.#findings.add(where, `is gone, but ${name} is under it`);
      const found = this.#current(key);
      if (found === 'damaged' || found?.lease === id) continue;
      this.#findings.add(where, `names ${name}, which is ${found ? 'not under it' : 'not there'}`);
    }
  }

  /** Each change of the log against kv, a share of the keys at a time. */
  #checkAgreement({ compacted }: StoredHead): void {
    const shares = Math.max(1, Math.ceil(this.#waitingBytes / WAITING_BYTES_MAX));
    for (let share = 0; share < shares; share += 1) {
      // Put, but not in kv: a later record has to delete them.
      const waiting = new Map<string, number>();
      const previous = new PreviousCheck(compacted);
      for (const entry of this.#scan('log', false)) {
        for (const logged of changesOf(entry)) {
          const { kv } = logged.change;
          if (crc32(kv.key) % shares !== share) continue;
          this.#compare(logged.change, waiting);
          const wrong = previous.take(logged);
          const where = `log ${kv.modRevision}`;
          if (wrong) this.#findings.add(where, `${JSON.stringify(kv.key)} ${wrong}`);
        }
      }
      for (const [key, revision] of waiting) {
        this.#findings.add(`kv ${JSON.stringify(key)}`, `missing: put by log record ${revision}`);
      }
    }
  }

  #compare({ type, kv: logged }: Change, waiting: Map<string, number>): void {
    const { key, modRevision } = logged;
    const where = `kv ${JSON.stringify(key)}`;
    const found = this.#current(key);
    if (found === 'damaged') return;
    if (type === 'delete') {
      waiting.delete(key);
      if (found && found.modRevision <= modRevision) {
        this.#findings.add(where, `is there, but log record ${modRevision} deleted it`);
      }
    } else if (!found) {
      waiting.set(key, modRevision);
    } else if (found.modRevision < modRevision) {
      const at = `at revision ${found.modRevision}`;
      this.#findings.add(where, `${at}, but log record ${modRevision} changed it`);
    } else if (found.modRevision === modRevision) {
      this.#vouched += 1;
      if (!isSame(found, logged)) {
        this.#findings.add(where, `is not what log record ${modRevision} wrote`);
      }
    }
  }

  /** Damage of its record was told when kv was read through. */
  #current(key: string): KeyValue | 'damaged' | undefined {
    const bytes = keyBytes(key);
    try {
      const record = this.#backend.get('kv', bytes);
      return record && decodeKeyValue(bytes, record);
    } catch {
      return 'damaged';
    }
  }

  #compareCounts(head: StoredHead): void {
    if (head.keys !== this.#keys) {
      this.#findings.add('meta head', `counts ${head.keys} keys, ${this.#keys} are there`);
    }
    if (head.logBytes !== this.#logBytes) {
      const there = `${this.#logBytes} are there`;
      this.#findings.add('meta head', `counts ${head.logBytes} bytes of log, ${there}`);
    }
  }

  /** Only for a store that is damaged: a read of the log for each young key. */
  #nameUnvouched({ compacted, revision }: StoredHead): void {
    for (const { key, value } of this.#scan('kv', false)) {
      let kv: KeyValue;
      try {
        kv = decodeKeyValue(key, value);
      } catch {
        continue;
      }
      if (kv.modRevision <= compacted || kv.modRevision > revision) continue;
      const record = this.#backend.get('log', logKey(kv.modRevision));
      const changes = record ? changesOf({ key: logKey(kv.modRevision), value: record }) : [];
      if (changes.some(({ change }) => change.kv.key === kv.key)) continue;
      this.#findings.add(whereOf(key), `at revision ${kv.modRevision}, which the log lacks`);
    }
  }

  /** All of a table in order. Where it can't be read on it ends; that is told when `tell` is set. */
  *#scan(table: Table, tell = true): Generator<Entry> {
    let from: Uint8Array = table === 'log' ? logKey(0) : new Uint8Array(0);
    let last: Uint8Array | undefined;
    for (;;) {
      const query = { table, from, before: undefined, limit: PAGE_ENTRIES };
      let page: Entry[];
      try {
        page = this.#backend.range({ ...query, bytesMax: PAGE_BYTES_MAX });
      } catch (thrown) {
        const after = last ? ` after ${whereOf(last, table)}` : '';
        if (tell) this.#findings.add(table, `can't be read on${after}: ${messageOf(thrown)}`);
        return;
      }
      for (const entry of page) {
        if (last && Buffer.compare(entry.key, last) <= 0) {
          const where = whereOf(entry.key, table);
          if (tell) this.#findings.add(where, `comes after ${whereOf(last, table)}`);
          return;
        }
        last = entry.key;
        yield entry;
      }
      this.#onProgress(table, page.length);
      if (!last || page.length === 0) return;
      from = table === 'log' ? logKey(readU64(Buffer.from(last), 0) + 1) : keyPast(last);
    }
  }

  #try<T>(where: string, work: () => T): T | undefined {
    try {
      return work();
    } catch (thrown) {
      this.#findings.add(where, messageOf(thrown));
      return undefined;
    }
  }
}

function keyPast(key: Uint8Array): Uint8Array {
  return Buffer.concat([key, Buffer.alloc(1)]);
}

function whereOf(key: Uint8Array, table: Table = 'kv'): string {
  if (table === 'log') return `log ${readU64(Buffer.from(key), 0)}`;
  const lease = table === 'meta' ? leaseOf(key) : undefined;
  if (lease) return `meta lease ${lease.id}`;
  return `${table} ${JSON.stringify(keyText(key))}`;
}

function revisionOf({ key }: Entry): number {
  return readU64(Buffer.from(key), 0);
}

/** None of a record that is damaged: that was told when the log was read first. */
function changesOf({ key, value }: Entry): readonly LoggedChange[] {
  try {
    return decodeLogRecord(key, value).changes;
  } catch {
    return [];
  }
}

function missing(from: number, to: number): string {
  return from === to ? 'is missing' : `is missing, with all up to ${to}`;
}

/** Each put raises the version by one and takes a revision of its own. */
function wrongRevisions({ createRevision, modRevision, version }: KeyValue): string | undefined {
  const puts = modRevision - createRevision + 1;
  const isFirst = version === 1;
  const right = createRevision >= 1 && version >= 1 && version <= puts && isFirst === (puts === 1);
  if (right) return undefined;
  return `version ${version}, created at ${createRevision}, put at ${modRevision}: that can't be`;
}

/** All that is recorded of them. */
function isSame(a: KeyValue, b: KeyValue): boolean {
  const key = keyBytes(a.key);
  return encodeKeyValue(key, a).equals(encodeKeyValue(key, b));
}
