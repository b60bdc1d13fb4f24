import { MiB } from '../../../base/bytes.ts';
import type { Engine, Span } from '../../../engine/index.ts';
import { PAGE_ENTRIES_MAX, type KvListReply } from './schema.ts';
import { keyBody, kvBody } from './user-keys.ts';

/** A page ends after this much, whatever its `limit`: as base64 it is 11 MiB of answer. */
const PAGE_BYTES_MAX = 8 * MiB;

export interface PageOptions {
  /** Start after this key of the engine's. */
  readonly after: string | undefined;
  readonly limit: number | undefined;
  /** As of this revision; default now. */
  readonly revision: number | undefined;
  readonly keysOnly: boolean;
}

/** @throws as the engine's list does */
export async function page(engine: Engine, span: Span, options: PageOptions): Promise<KvListReply> {
  const { after, limit = PAGE_ENTRIES_MAX, revision, keysOnly } = options;
  const bytesMax = PAGE_BYTES_MAX;
  const { kvs, ...rest } = await engine.list(span, { after, limit, revision, bytesMax });
  const { incarnation } = engine;
  return { ...rest, incarnation, kvs: kvs.map((kv) => (keysOnly ? keyBody(kv) : kvBody(kv))) };
}
