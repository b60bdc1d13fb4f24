/** Records of kv as JSON lines: what a person greps and a program reads. */
import { MiB } from '../base/bytes.ts';
import { keyAfter, prefixRange } from './key.ts';
import { decodeKeyValue } from './record.ts';
import type { Backend } from './backend.ts';
import type { KeyValue } from './engine.ts';

const PAGE_ENTRIES = 256;
const PAGE_BYTES_MAX = MiB;

/** One line of a dump; `value` is base64. */
export interface DumpLine {
  readonly key: string;
  readonly value: string;
  readonly createRevision: number;
  readonly modRevision: number;
  readonly version: number;
  /** The lease it ends with: what reads the dump leaves it out, for its holder is gone. */
  readonly lease?: number | undefined;
}

export function dumpLine(kv: KeyValue): DumpLine {
  const { key, value, createRevision, modRevision, version, lease } = kv;
  const base64 = Buffer.from(value.buffer, value.byteOffset, value.length).toString('base64');
  const line = { key, value: base64, createRevision, modRevision, version };
  return lease === undefined ? line : { ...line, lease };
}

/** The keys under `prefix`, a page at a time, in key order. @throws Corrupt */
export function* keysUnder(backend: Backend, prefix: string): Generator<KeyValue[]> {
  const { before, ...start } = prefixRange(prefix);
  let { from } = start;
  for (;;) {
    const query = { table: 'kv', from, before, limit: PAGE_ENTRIES } as const;
    const page = backend.range({ ...query, bytesMax: PAGE_BYTES_MAX });
    const kvs = page.map(({ key, value }) => decodeKeyValue(key, value));
    if (kvs.length === 0) return;
    yield kvs;
    from = keyAfter(kvs.at(-1)!.key);
  }
}

/** @param skip a prefix that is not part of the keys as they are written. @throws Corrupt */
export async function dumpLines(
  backend: Backend,
  prefix: string,
  skip: string,
  write: (text: string) => Promise<void>,
): Promise<{ keys: number }> {
  const from = skip === '' ? 0 : skip.length + 1;
  let keys = 0;
  for (const page of keysUnder(backend, prefix)) {
    keys += page.length;
    const lines = page.map((kv) => dumpLine({ ...kv, key: kv.key.slice(from) }));
    await write(lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  }
  return { keys };
}
