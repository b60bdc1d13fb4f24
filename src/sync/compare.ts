import type { Engine } from '../engine/index.ts';
import { REPLICATED_PREFIXES } from './directions.ts';
import { PageSize } from './page-size.ts';
import type { Mutation, RemoteEntry } from './target.ts';
import { MiB } from '../base/bytes.ts';

/** Wanted size of a page of local keys, and the most keys in one. */
const PAGE_BYTES = 2 * MiB;
const PAGE_KEYS_MAX = 1000;

/**
 * What makes the remote equal to the local side, in key order: both are walked once side by side.
 * A key that differs is put, a key that only the remote has is deleted. Values are compared, not
 * revisions: a remote restored from anywhere is judged by what it holds.
 * @throws Error when a side isn't in strict byte order: merging it would delete what is there.
 */
export async function* differences(
  local: AsyncIterable<RemoteEntry>,
  remote: AsyncIterable<RemoteEntry>,
): AsyncGenerator<Mutation> {
  const here = ascending(local, 'local');
  const there = ascending(remote, 'remote');
  try {
    let mine = await next(here);
    let theirs = await next(there);
    while (mine ?? theirs) {
      const order = mine && theirs ? compareKeys(mine.key, theirs.key) : mine ? -1 : 1;
      if (mine && order <= 0) {
        const equal = order === 0 && theirs && Buffer.compare(mine.value, theirs.value) === 0;
        if (!equal) yield { type: 'put', key: mine.key, value: mine.value };
        mine = await next(here);
      } else if (theirs) {
        yield { type: 'delete', key: theirs.key };
      }
      if (order >= 0) theirs = await next(there);
    }
  } finally {
    await here.return(undefined);
    await there.return(undefined);
  }
}

/** Every replicated key of the engine, in key order, read in pages: bounded memory. */
export async function* replicatedEntries(
  engine: Pick<Engine, 'list'>,
): AsyncGenerator<RemoteEntry> {
  const size = new PageSize(PAGE_BYTES, PAGE_KEYS_MAX);
  for (const prefix of REPLICATED_PREFIXES) {
    let after: string | undefined;
    for (;;) {
      const { kvs, more } = await engine.list(prefix, { after, limit: size.items });
      yield* kvs;
      after = kvs.at(-1)?.key;
      if (!more || after === undefined) break;
      size.took(
        kvs.length,
        kvs.reduce((sum, kv) => sum + kv.key.length + kv.value.length, 0),
      );
    }
  }
}

async function* ascending(
  entries: AsyncIterable<RemoteEntry>,
  side: string,
): AsyncGenerator<RemoteEntry> {
  let last: string | undefined;
  for await (const entry of entries) {
    if (last !== undefined && compareKeys(last, entry.key) >= 0) {
      throw new Error(`${side} keys are not in byte order: "${entry.key}" after "${last}"`);
    }
    last = entry.key;
    yield entry;
  }
}

async function next(iterator: AsyncIterator<RemoteEntry>): Promise<RemoteEntry | undefined> {
  const result = await iterator.next();
  return result.done ? undefined : result.value;
}

/** By UTF-8 bytes, as stores order keys; JavaScript's own order differs beyond the basic plane. */
function compareKeys(a: string, b: string): number {
  return a === b ? 0 : Buffer.compare(Buffer.from(a), Buffer.from(b));
}
