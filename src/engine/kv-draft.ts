/**
 * The records of kv as a batch leaves them: its own changes, over those of the batch that is being
 * committed, if there is one, over what is durable. What the transaction at work has changed lies on top
 * until it is kept or dropped, so that it reads its own writes and can still be refused.
 */
import { keyAfter, keyBytes } from './key.ts';
import { decodeKeyValue, parseKeyValue, type Stored } from './record.ts';
import { isWithin, type KeyRange } from './span.ts';
import type { Backend, Write } from './backend.ts';
import type { RecentRecords } from './recent.ts';

/** Records, and bytes, that a range reads at a time: most ranges end before. */
const PAGE_ENTRIES = 128;
const PAGE_BYTES = 256 * 1024;

/** Null: the key is not there. */
type Records = Map<string, Stored | null>;

export class KvDraft {
  readonly #backend: Backend;
  readonly #recent: RecentRecords;
  /** What the batch writes. */
  readonly #overlay: Records = new Map();
  /** What was read from under it: a condition and the write that it guards read the same key. */
  readonly #under: Records = new Map();
  /** Of the transaction at work. */
  #open: Records = new Map();
  #below: KvDraft | undefined;

  constructor(backend: Backend, recent: RecentRecords, below?: KvDraft) {
    this.#backend = backend;
    this.#recent = recent;
    this.#below = below;
  }

  /** The batch before this one is durable: what it wrote is read from the backend now. */
  landed(): void {
    this.#below = undefined;
  }

  get(key: string): Stored | undefined {
    let known = this.#open.get(key);
    if (known === undefined) known = this.#overlay.get(key);
    if (known === undefined) known = this.#under.get(key);
    if (known === undefined) {
      const below = this.#below && this.#below.#overlay.get(key);
      known = below === undefined ? (this.#readDurable(key) ?? null) : below;
      this.#under.set(key, known);
    }
    return known ?? undefined;
  }

  /** In key order, read as it is asked for. Nothing may be set meanwhile. */
  *range(range: KeyRange): Generator<Stored> {
    const changed = this.#changedWithin(range);
    let next = 0;
    for (const stored of this.#durable(range)) {
      const key = keyBytes(stored.kv.key);
      for (; next < changed.length && Buffer.compare(changed[next]!.key, key) < 0; next += 1) {
        const { now } = changed[next]!;
        if (now) yield now;
      }
      // What is durable here was written over: its turn comes with the next one.
      if (next === changed.length || !changed[next]!.key.equals(key)) yield stored;
    }
    for (const { now } of changed.slice(next)) if (now) yield now;
  }

  /** `stored` undefined deletes the key. */
  set(key: string, stored: Stored | undefined): void {
    this.#open.set(key, stored ?? null);
  }

  /** What was set since the last `keep` or `drop` becomes part of the batch. */
  keep(): void {
    for (const [key, stored] of this.#open) this.#overlay.set(key, stored);
    this.#open.clear();
  }

  drop(): void {
    this.#open.clear();
  }

  /** All of it is durable: from now on it is among the records that were written last. */
  committed(): void {
    for (const [key, stored] of this.#overlay) this.#recent.committed(key, stored?.record);
  }

  writes(): Write[] {
    return [...this.#overlay].map(([key, stored]) => ({
      table: 'kv',
      key: keyBytes(key),
      value: stored?.record,
    }));
  }

  /** In key order: what this batch, and the one below, have done within the range. */
  #changedWithin(range: KeyRange): { key: Buffer; now: Stored | null }[] {
    const within = new Map<string, { key: Buffer; now: Stored | null }>();
    const layers = [this.#below && this.#below.#overlay, this.#overlay, this.#open];
    for (const layer of layers) {
      for (const [text, now] of layer ?? []) {
        const key = keyBytes(text);
        if (isWithin(range, key)) within.set(text, { key, now });
      }
    }
    return [...within.values()].sort((a, b) => Buffer.compare(a.key, b.key));
  }

  *#durable({ from, before }: KeyRange): Generator<Stored> {
    for (let start = from; ;) {
      const page = this.#backend.range({
        table: 'kv',
        from: start,
        before,
        limit: PAGE_ENTRIES,
        bytesMax: PAGE_BYTES,
      });
      let last: string | undefined;
      for (const { key, value } of page) {
        const kv = decodeKeyValue(key, value);
        last = kv.key;
        yield { kv, record: value };
      }
      if (last === undefined) return;
      start = keyAfter(last);
    }
  }

  #readDurable(key: string): Stored | undefined {
    const recent = this.#recent.get(key);
    if (recent) return { kv: parseKeyValue(key, recent), record: recent };
    const record = this.#backend.get('kv', keyBytes(key));
    return record && { kv: decodeKeyValue(key, record), record };
  }
}
