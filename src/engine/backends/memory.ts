/** Tables on the heap, for tests of other folders: same semantics, gone with the process. */
import { keyBytes, keyText } from '../key.ts';
import type { Backend, Entry, RangeQuery, Table, Write } from '../backend.ts';

/** Latin-1 text compares as its bytes do, and is a Map key. */
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');

class MemoryTable {
  readonly #values = new Map<string, Uint8Array>();
  #sorted: string[] | undefined = [];

  get(key: Uint8Array): Uint8Array | undefined {
    const value = this.#values.get(text(key));
    return value && Uint8Array.from(value);
  }

  apply(write: Write): void {
    const key = text(write.key);
    const there = this.#values.has(key);
    if (write.value) this.#values.set(key, Uint8Array.from(write.value));
    else this.#values.delete(key);
    if (there !== (write.value !== undefined)) this.#sorted = undefined;
  }

  range(query: RangeQuery): Entry[] {
    this.#sorted ??= [...this.#values.keys()].sort();
    const from = text(query.from);
    const before = query.before && text(query.before);
    const entries: Entry[] = [];
    let bytes = 0;
    for (const key of this.#sorted) {
      if (key < from) continue;
      if (before !== undefined && key >= before) break;
      if (entries.length >= query.limit || (entries.length > 0 && bytes >= query.bytesMax)) break;
      const value = Uint8Array.from(this.#values.get(key)!);
      bytes += value.length;
      entries.push({ key: Buffer.from(key, 'latin1'), value });
    }
    return entries;
  }

  bytes(): number {
    let bytes = 0;
    for (const [key, value] of this.#values) bytes += key.length + value.length;
    return bytes;
  }
}

export function openMemory(initial: readonly Write[]): Backend {
  const tables: Record<Table, MemoryTable> = {
    kv: new MemoryTable(),
    log: new MemoryTable(),
    meta: new MemoryTable(),
  };
  const apply = (writes: readonly Write[]): void => {
    for (const write of writes) tables[write.table].apply(write);
  };
  apply(initial);
  return {
    name: 'memory',
    costlyCommits: false,
    get: (table, key) => tables[table].get(key),
    find: (key, take) => {
      const record = tables.kv.get(keyBytes(key));
      return record && take(record, false);
    },
    range: (query) => tables[query.table].range(query),
    scan: (query, visit) => {
      const entries = tables.kv.range({ table: 'kv', bytesMax: Infinity, ...query });
      for (const { key, value } of entries) visit(keyText(key), value, false);
    },
    read: (work) => work(),
    commit: async (writes) => apply(writes),
    sizeBytes: () => tables.kv.bytes() + tables.log.bytes() + tables.meta.bytes(),
    close: async () => undefined,
  };
}
