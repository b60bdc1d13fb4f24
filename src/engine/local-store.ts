/**
 * The Store contract over an Engine. A tag is the incarnation with the revision of the write, so a
 * compare-and-swap with what was read before a restore fails instead of meeting another's write.
 */
import { throwIfAborted, unlessAborted } from '../base/abort.ts';
import { HoldfastError } from '../base/errors.ts';
import { EntryLeases } from './entry-lease.ts';
import { normalizeKey, normalizePrefix } from './key.ts';
import { KEY_BYTES_MAX } from './limits.ts';
import { StoreLocks } from './store-lock.ts';
import type { Change, Engine, KeyValue } from './engine.ts';
import type {
  CallOptions,
  Entry,
  EntryPage,
  KeyEvent,
  ListEntriesOptions,
  Lock,
  Previous,
  PutEntryOptions,
  ReadOptions,
  Store,
  StoreLockOptions,
  StoreSupports,
  TreeEvent,
} from './store.ts';

/** Keys looked at in one step of a scan. Their values come along: 128 MiB at the very worst. */
const SCAN_KEYS = 128;
/** Sorts after all that can follow in a key, but itself. */
const LAST_CHARACTER = '\u{10FFFF}';

export class LocalStore implements Store {
  readonly supports: StoreSupports = { ttl: true, lock: true, everyChange: true };
  readonly #engine: Engine;
  readonly #leases: EntryLeases;
  readonly #locks: StoreLocks;

  /** @param engine closed with the store */
  constructor(engine: Engine) {
    this.#engine = engine;
    this.#leases = new EntryLeases(engine);
    this.#locks = new StoreLocks(engine);
  }

  get(key: string, options: ReadOptions = {}): Promise<Entry> {
    return unlessAborted(options.signal, async () => {
      const kv = await this.#engine.get(key);
      if (!kv) throw keyNotFound(key);
      return this.#entry(kv);
    });
  }

  exists(key: string, options: ReadOptions = {}): Promise<boolean> {
    return unlessAborted(options.signal, async () => (await this.#engine.get(key)) !== undefined);
  }

  list(prefix: string, options: ListEntriesOptions = {}): Promise<EntryPage> {
    return unlessAborted(options.signal, async () => {
      const { kvs, more, looked } =
        options.recursive === false
          ? await this.#children(normalizePrefix(prefix), options)
          : await this.#everything(prefix, options);
      if (!looked && options.after === undefined) await this.#assertPrefix(prefix);
      return { entries: kvs.map((kv) => this.#entry(kv)), more };
    });
  }

  put(key: string, value: Uint8Array, options: PutEntryOptions = {}): Promise<void> {
    return unlessAborted(options.signal, async () => {
      await this.#leases.put(key, value, { ttlSeconds: options.ttlSeconds });
    });
  }

  delete(key: string, options: CallOptions = {}): Promise<void> {
    return unlessAborted(options.signal, async () => {
      const lease = await this.#leases.of(key);
      if ((await this.#engine.delete(key)) === undefined) throw keyNotFound(key);
      await this.#leases.end([lease]);
    });
  }

  deleteTree(key: string, options: CallOptions = {}): Promise<void> {
    return unlessAborted(options.signal, () =>
      this.#deleteTree(normalizePrefix(key), options.signal),
    );
  }

  atomicPut(
    key: string,
    value: Uint8Array,
    previous: Previous | null,
    options: PutEntryOptions = {},
  ): Promise<Entry> {
    return unlessAborted(options.signal, async () => {
      const { ttlSeconds } = options;
      const ifRevision = previous === null ? 0 : this.#revisionOf(key, previous);
      const revision = await this.#leases.put(key, value, { ifRevision, ttlSeconds });
      return { key: normalizeKey(key), value, tag: this.#tag(revision) };
    });
  }

  atomicDelete(key: string, previous: Previous, options: CallOptions = {}): Promise<void> {
    return unlessAborted(options.signal, async () => {
      const ifRevision = this.#revisionOf(key, previous);
      const lease = await this.#leases.of(key);
      try {
        await this.#engine.delete(key, { ifRevision });
        await this.#leases.end([lease]);
      } catch (thrown) {
        const modified = thrown instanceof HoldfastError && thrown.code === 'KeyModified';
        if (modified && !(await this.#engine.get(key))) throw keyNotFound(key);
        throw thrown;
      }
    });
  }

  watch(key: string, options: CallOptions = {}): AsyncIterable<KeyEvent> {
    return this.#watchKey(normalizeKey(key), options.signal ?? neverAborted());
  }

  watchTree(prefix: string, options: CallOptions = {}): AsyncIterable<TreeEvent> {
    return this.#watchTree(normalizePrefix(prefix), options.signal ?? neverAborted());
  }

  lock(key: string, options: StoreLockOptions = {}): Promise<Lock> {
    return this.#locks.lock(key, options);
  }

  async close(): Promise<void> {
    await this.#locks.close();
    await this.#engine.close();
  }

  async *#watchKey(key: string, signal: AbortSignal): AsyncGenerator<KeyEvent> {
    if (signal.aborted) return;
    // Where the watch stands is fixed before the look: what comes between is seen after it, not lost.
    const sets = this.#engine.watch({ key }, { signal });
    const now = await this.#engine.get(key);
    yield now ? { type: 'put', entry: this.#entry(now) } : { type: 'delete', key };
    for await (const { revision, changes } of sets) {
      if (now && revision <= now.modRevision) continue;
      yield this.#event(changes[0]!);
    }
  }

  async *#watchTree(prefix: string, signal: AbortSignal): AsyncGenerator<TreeEvent> {
    if (signal.aborted) return;
    const { kvs, revision } = await this.#engine.list(prefix);
    yield { type: 'all', entries: kvs.map((kv) => this.#entry(kv)) };
    for await (const { changes } of this.#engine.watch(prefix, { from: revision + 1, signal })) {
      yield { type: 'changes', changes: changes.map((change) => this.#event(change)) };
    }
  }

  async #everything(prefix: string, { after, limit }: ListEntriesOptions): Promise<Found> {
    const { kvs, more } = await this.#engine.list(prefix, { after, limit });
    return { kvs, more, looked: kvs.length > 0 };
  }

  /** Direct children, in as many steps as it takes; what lies below a child is jumped over. */
  async #children(prefix: string, options: ListEntriesOptions): Promise<Found> {
    const { limit = Infinity, signal } = options;
    const kvs: KeyValue[] = [];
    let { after } = options;
    let looked = false;
    for (let more = true; more && kvs.length <= limit;) {
      throwIfAborted(signal);
      const page = await this.#engine.list(prefix, { after, limit: Math.min(limit, SCAN_KEYS) });
      looked ||= page.kvs.length > 0;
      const deeper = page.kvs.findIndex(({ key }) => isDeeper(prefix, key));
      const children = deeper === -1 ? page.kvs : page.kvs.slice(0, deeper);
      kvs.push(...children);
      const beyond = page.kvs[deeper];
      after = beyond ? lastUnder(childOf(prefix, beyond.key), beyond.key) : page.kvs.at(-1)?.key;
      more = page.more || beyond !== undefined;
    }
    return { kvs: kvs.slice(0, limit), more: kvs.length > limit, looked };
  }

  /** What is below goes first: stopped halfway, `key` still says that there is a tree. */
  async #deleteTree(key: string, signal: AbortSignal | undefined): Promise<void> {
    let after: string | undefined;
    for (let more = true; more;) {
      throwIfAborted(signal);
      const page = await this.#engine.list(key, { after, limit: SCAN_KEYS });
      await this.#engine.txn(
        [],
        page.kvs.map((kv) => ({ type: 'delete', key: kv.key })),
      );
      await this.#leases.end(page.kvs.map(({ lease }) => lease));
      after = page.kvs.at(-1)?.key ?? after;
      more = page.more;
    }
    if (key === '') return;
    const lease = await this.#leases.of(key);
    const revision = await this.#engine.delete(key);
    await this.#leases.end([lease]);
    if (revision === undefined && after === undefined) throw keyNotFound(key);
  }

  async #assertPrefix(prefix: string): Promise<void> {
    const key = normalizePrefix(prefix);
    if (key !== '' && !(await this.#engine.get(key))) throw keyNotFound(key);
  }

  /** @throws PreviousNotSpecified, KeyModified when the tag is none of this store's incarnation */
  #revisionOf(key: string, previous: Previous | undefined): number {
    if (previous === undefined || previous === null) {
      throw new HoldfastError('PreviousNotSpecified', `nothing to compare ${key} with`, {
        hint: 'give the entry that get returned; to create a key, atomicPut takes null',
      });
    }
    const revision = Number.parseInt(previous.tag, 10);
    // 0 would ask for a key that does not exist.
    if (revision > 0 && previous.tag === this.#tag(revision)) return revision;
    throw new HoldfastError(
      'KeyModified',
      `${key} was read from another store, or before a restore`,
    );
  }

  #entry({ key, value, modRevision }: KeyValue): Entry {
    return { key, value, tag: this.#tag(modRevision) };
  }

  #event({ type, kv }: Change): KeyEvent {
    return type === 'put' ? { type, entry: this.#entry(kv) } : { type, key: kv.key };
  }

  #tag(revision: number): string {
    return `${revision}@${this.#engine.incarnation}`;
  }
}

interface Found {
  readonly kvs: readonly KeyValue[];
  readonly more: boolean;
  /** Something is under the prefix, if only deeper. */
  readonly looked: boolean;
}

function keyNotFound(key: string): HoldfastError {
  return new HoldfastError('KeyNotFound', `there is no key ${key}`);
}

function neverAborted(): AbortSignal {
  return new AbortController().signal;
}

function isDeeper(prefix: string, key: string): boolean {
  return key.includes('/', prefix === '' ? 0 : prefix.length + 1);
}

/** `a/b` for `a/b/c/d` under `a`. */
function childOf(prefix: string, key: string): string {
  return key.slice(0, key.indexOf('/', prefix === '' ? 0 : prefix.length + 1));
}

/** Where a scan goes on that has no use for more of what is under `child`, met at `key`. */
function lastUnder(child: string, key: string): string {
  const last = `${child}/${LAST_CHARACTER}`;
  const usable =
    Buffer.byteLength(last) <= KEY_BYTES_MAX &&
    Buffer.compare(Buffer.from(key), Buffer.from(last)) < 0;
  return usable ? last : key;
}
