import { MiB } from '../../../base/bytes.ts';
import { HoldfastError } from '../../../base/errors.ts';
import type { Engine, ListResult, Span } from '../../../engine/index.ts';
import { PAGE_ENTRIES_MAX, type KvListReply } from './schema.ts';
import { kvBody } from './user-keys.ts';

/** A page ends after this much, whatever its `limit`: as base64 it is 11 MiB of answer. */
const PAGE_BYTES_MAX = 8 * MiB;
/** Entries asked of the engine at once, so that a page of big values is noticed in time. */
const PAGE_STEP_ENTRIES = 64;

export interface PageOptions {
  /** Start after this key of the engine's. */
  readonly after: string | undefined;
  readonly limit: number | undefined;
  /** As of this revision; default now. */
  readonly revision: number | undefined;
  readonly keysOnly: boolean;
}

/** Each page is exact at its `revision`, whatever is written meanwhile. @throws as the engine's list does */
export async function page(engine: Engine, span: Span, options: PageOptions): Promise<KvListReply> {
  const { limit = PAGE_ENTRIES_MAX, keysOnly } = options;
  const { incarnation } = engine;
  const kvs: KvListReply['kvs'] = [];
  let { after, revision } = options;
  let bytes = 0;
  for (;;) {
    const step = Math.min(PAGE_STEP_ENTRIES, limit - kvs.length);
    const part = await engine.list(span, { after, limit: step, revision }).catch((thrown) => {
      // What is read already is right; the next page begins at another revision, or is told.
      if (kvs.length > 0 && isCompacted(thrown)) return undefined;
      throw thrown;
    });
    revision ??= part?.revision ?? 0;
    if (!part) return { kvs, revision, incarnation, more: true };
    for (const kv of part.kvs) {
      kvs.push(listed(kv, keysOnly));
      bytes += keysOnly ? 0 : kv.value.byteLength;
      after = kv.key;
    }
    const full = kvs.length >= limit || bytes >= PAGE_BYTES_MAX;
    if (full || !part.more) return { kvs, revision, incarnation, more: part.more };
  }
}

function listed(kv: ListResult['kvs'][number], keysOnly: boolean): KvListReply['kvs'][number] {
  const { value, text, ...rest } = kvBody(kv);
  return keysOnly ? rest : { ...rest, value, ...(text === undefined ? {} : { text }) };
}

function isCompacted(thrown: unknown): boolean {
  return thrown instanceof HoldfastError && thrown.code === 'Compacted';
}
